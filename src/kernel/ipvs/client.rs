//! Talking to the IPVS of one network namespace.

use std::collections::HashMap;
use std::io;
use std::iter::successors;
use std::ops::RangeInclusive;

use netlink_packet_core::{DecodeError, NLM_F_ACK, NLM_F_DUMP, Parseable, ParseableParametrized};
use netlink_packet_generic::{GenlHeader, constants::GENL_HDRLEN};
use netlink_sys::protocols::NETLINK_GENERIC;
use nix::errno::Errno;

use super::batch::Batch;
use super::command::about;
use super::error::{Cause, Error, Failure, Failures, SubmitError};
use super::wire::{Attributes, InfoAttributes, Message, Operation, required};
use super::{Command, DestinationEntry, Info, ServiceEntry, ServiceKey, Timeouts, family};
use crate::kernel::socket::{BATCH_BYTES, Reports, Socket};

/// How often a dump is tried that was interrupted by a change (by another program: a client that
/// dumps changes nothing meanwhile).
const DUMP_ATTEMPTS: usize = 8;

/// A connection to the IPVS of the network namespace in which it was made.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    family: u16,
    batch: Batch,
}

impl Client {
    /// Connects, which makes the kernel load IPVS where it can.
    ///
    /// # Errors
    /// [`Error::Missing`] if the kernel has no IPVS.
    pub fn connect() -> Result<Self, Error> {
        let mut socket = Socket::open(NETLINK_GENERIC).map_err(Error::Open)?;
        let family = family::resolve(&mut socket)?;
        Ok(Self {
            socket,
            family,
            batch: Batch::default(),
        })
    }

    /// The number that the running kernel gave the IPVS family, for those who send messages of
    /// their own making.
    pub fn family(&self) -> u16 {
        self.family
    }

    /// Carries out commands in order. One that fails does not stop the others.
    ///
    /// They go out in batches of [`BATCH_BYTES`] with one acknowledgement each.
    pub fn submit(&mut self, commands: &[Command]) -> Result<(), SubmitError> {
        let mut failures = Vec::new();
        let mut first = 0;
        self.batch.clear();
        for (index, command) in commands.iter().enumerate() {
            let sequence = self.socket.next_sequence();
            let message = Message::from(command);
            self.batch.push(self.family, sequence, 0, &message);
            if self.batch.bytes().len() >= BATCH_BYTES || index + 1 == commands.len() {
                self.batch.acknowledge_last();
                let reports = self.socket.submit(self.batch.bytes(), sequence);
                let reports = reports.map_err(SubmitError::Socket)?;
                failures.extend(failed(first..=index, sequence, &reports));
                first = index + 1;
                self.batch.clear();
            }
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(Failures(failures).into())
        }
    }

    /// All services, but those of protocols other than TCP, UDP and SCTP.
    pub fn services(&mut self) -> Result<Vec<ServiceEntry>, Error> {
        let request = Message {
            operation: Operation::GetService,
            attributes: Attributes::default(),
        };
        self.query("the services", NLM_F_DUMP, &request, |reply: Attributes| {
            let service = required(reply.service, "service")?;
            let known = !service.is_foreign();
            known.then(|| ServiceEntry::parse(&service)).transpose()
        })
    }

    /// One service, if there is one with this key.
    pub fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceEntry>, Error> {
        let request = Message {
            operation: Operation::GetService,
            attributes: about(key),
        };
        let read = |reply: Attributes| {
            let service = required(reply.service, "service")?;
            ServiceEntry::parse(&service).map(Some)
        };
        match self.query("a service", NLM_F_ACK, &request, read) {
            Ok(answers) => Ok(answers.into_iter().next()),
            Err(Error::Query { cause, .. }) if is(&cause, Errno::ESRCH) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The destinations of a service, the last added first; none if there is no such service.
    pub fn destinations(&mut self, key: &ServiceKey) -> Result<Vec<DestinationEntry>, Error> {
        let request = Message {
            operation: Operation::GetDestination,
            attributes: about(key),
        };
        self.query("destinations", NLM_F_DUMP, &request, |reply: Attributes| {
            let destination = required(reply.destination, "destination")?;
            DestinationEntry::parse(&destination).map(Some)
        })
    }

    /// The time-outs.
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.ask("the time-outs", Operation::GetConfig, |it: Attributes| {
            Timeouts::from(&it)
        })
    }

    /// The version and the size of the connection table.
    pub fn info(&mut self) -> Result<Info, Error> {
        self.ask("the version", Operation::GetInfo, |it: InfoAttributes| {
            Info::from(&it)
        })
    }

    /// A question with one answer.
    fn ask<A: Parseable<[u8]>, T>(
        &mut self,
        what: &'static str,
        operation: Operation,
        read: impl Fn(A) -> T,
    ) -> Result<T, Error> {
        let request = Message {
            operation,
            attributes: Attributes::default(),
        };
        let answers = self.query(what, NLM_F_ACK, &request, |reply| Ok(Some(read(reply))))?;
        let none = || Error::Query {
            what,
            cause: io::ErrorKind::UnexpectedEof.into(),
        };
        answers.into_iter().next().ok_or_else(none)
    }

    /// A question with any number of answers, of which `read` picks.
    fn query<A: Parseable<[u8]>, T>(
        &mut self,
        what: &'static str,
        flags: u16,
        request: &Message<Attributes>,
        read: impl Fn(A) -> Result<Option<T>, DecodeError>,
    ) -> Result<Vec<T>, Error> {
        let mut attempts = 1;
        loop {
            let sequence = self.socket.next_sequence();
            self.batch.clear();
            self.batch.push(self.family, sequence, flags, request);
            let mut answers = Vec::new();
            let asked = self.socket.dump(self.batch.bytes(), sequence, |bytes| {
                let answer = parse(bytes).and_then(&read);
                answers.extend(answer.map_err(invalid)?);
                Ok(())
            });
            match asked {
                Ok(()) => return Ok(answers),
                Err(error) if is(&error, Errno::EINTR) && attempts < DUMP_ATTEMPTS => attempts += 1,
                Err(cause) => return Err(Error::Query { what, cause }),
            }
        }
    }
}

/// The attributes of a message of the family.
fn parse<A: Parseable<[u8]>>(bytes: &[u8]) -> Result<A, DecodeError> {
    let header = GenlHeader::parse(bytes)?;
    let payload = bytes.get(GENL_HDRLEN..).unwrap_or_default();
    Message::parse_with_param(payload, header).map(|message| message.attributes)
}

fn invalid(error: DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

/// The failures among the commands `indices`, which went out as one batch with consecutive
/// sequence numbers up to `last`.
fn failed(indices: RangeInclusive<usize>, last: u32, reports: &Reports) -> Vec<Failure> {
    let errnos: HashMap<u32, i32> = reports
        .refusals
        .iter()
        .map(|refusal| (refusal.sequence, refusal.errno))
        .collect();
    if errnos.is_empty() && !reports.lost {
        return Vec::new();
    }
    let sequences = successors(Some(last), |next| Some(next.wrapping_sub(1)));
    let mut failures: Vec<Failure> = indices
        .rev()
        .zip(sequences)
        .filter_map(|(index, sequence)| {
            let refused = errnos.get(&sequence).copied().map(Errno::from_raw);
            let cause = refused.map(Cause::Refused);
            let cause = cause.or(reports.lost.then_some(Cause::Unknown))?;
            Some(Failure { index, cause })
        })
        .collect();
    failures.reverse();
    failures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::socket::Refusal;

    /// A batch of the commands 10, 11 and 12, whose sequence numbers are `u32::MAX`, 0 and 1; the
    /// kernel refused number 11.
    fn failures(lost: bool) -> Vec<(usize, Cause)> {
        let refusals = vec![Refusal {
            sequence: 0,
            errno: Errno::ESRCH as i32,
        }];
        failed(10..=12, 1, &Reports { refusals, lost })
            .into_iter()
            .map(|failure| (failure.index, failure.cause))
            .collect()
    }

    #[test]
    fn a_refusal_names_its_command_by_sequence_number() {
        assert_eq!(failures(false), [(11, Cause::Refused(Errno::ESRCH))]);
    }

    #[test]
    fn when_reports_are_lost_all_other_commands_of_the_batch_are_unknown() {
        let expected = [
            (10, Cause::Unknown),
            (11, Cause::Refused(Errno::ESRCH)),
            (12, Cause::Unknown),
        ];
        assert_eq!(failures(true), expected);
    }

    #[test]
    fn refusals_of_other_batches_do_not_count() {
        let refusals = vec![Refusal {
            sequence: 77,
            errno: Errno::ESRCH as i32,
        }];
        let reports = Reports {
            refusals,
            lost: false,
        };
        assert_eq!(failed(10..=12, 1, &reports), []);
    }
}
