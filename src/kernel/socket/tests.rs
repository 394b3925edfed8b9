//! The socket against bytes of all kinds and against the kernel, which refuses all that is sent.

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use proptest::prelude::*;

use super::*;

/// A message of `length` bytes as its header claims, then `payload`.
fn message(length: u32, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    let mut header = NetlinkBuffer::new(&mut bytes);
    header.set_length(length);
    header.set_message_type(kind);
    bytes.extend(payload);
    bytes
}

#[test]
fn messages_of_a_datagram_start_at_multiples_of_four() {
    let mut datagram = message(17, 100, &[1, 0, 0, 0]);
    datagram.extend(message(18, 101, &[2, 3]));
    let mut seen = Vec::new();
    let end = for_each_message(&datagram, |message| {
        seen.push((message.message_type(), message.payload().to_vec()));
        Ok(ControlFlow::Continue(()))
    });
    assert!(end.is_ok_and(|end| end.is_continue()));
    assert_eq!(seen, [(100, vec![1]), (101, vec![2, 3])]);
}

#[test]
fn a_message_longer_than_its_datagram_is_an_error() {
    let datagram = message(24, 100, &[0; 4]);
    let end = for_each_message(&datagram, |_| Ok(ControlFlow::Continue(())));
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn an_error_number_of_any_size_has_a_positive_counterpart() {
    let code = |payload: &[u8]| {
        let bytes = message(
            16 + u32::try_from(payload.len()).unwrap(),
            NLMSG_ERROR,
            payload,
        );
        let message = NetlinkBuffer::new(bytes.as_slice());
        (error_code(&message), done_code(&message))
    };
    for (sent, read) in [(0, None), (-2, Some(2)), (i32::MIN, Some(i32::MAX))] {
        let (error, done) = code(&i32::to_ne_bytes(sent));
        assert_eq!(error.unwrap(), read);
        assert_eq!(done.unwrap(), read);
    }
    let (error, done) = code(&[]);
    assert!(error.is_err());
    assert_eq!(done.unwrap(), None);
}

proptest! {
    #[test]
    fn no_datagram_makes_it_panic(
        lengths in prop::collection::vec(any::<u8>(), 0..4),
        noise in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut datagram: Vec<u8> = lengths
            .into_iter()
            .flat_map(|length| message(length.into(), NLMSG_ERROR, &noise))
            .collect();
        datagram.extend(&noise);
        let _ = for_each_message(&datagram, |message| {
            let _ = error_code(message);
            let _ = done_code(message);
            Ok(ControlFlow::Continue(()))
        });
    }
}

/// A batch of `count` requests to a family that does not exist.
fn refused_batch(socket: &mut Socket, count: u32) -> (Vec<u8>, u32) {
    let mut bytes = Vec::new();
    let mut last = 0;
    for place in 1..=count {
        last = socket.next_sequence();
        let mut request = message(16, u16::MAX, &[]);
        let mut header = NetlinkBuffer::new(&mut request);
        header.set_sequence_number(last);
        header.set_flags(NLM_F_REQUEST | if place == count { NLM_F_ACK } else { 0 });
        bytes.extend(request);
    }
    (bytes, last)
}

fn socket() -> Socket {
    Socket::open(netlink_sys::protocols::NETLINK_GENERIC).unwrap()
}

#[test]
fn every_refusal_names_its_request_even_where_sequence_numbers_wrap_around() {
    let mut socket = socket();
    socket.sequence = u32::MAX - 2;
    let (batch, last) = refused_batch(&mut socket, 4);
    let refused = |sequence| Refusal {
        sequence,
        errno: Errno::ENOENT as i32,
    };
    let expected = [u32::MAX - 1, u32::MAX, 0, 1].map(refused);
    assert_eq!(socket.exchange(&batch, last).unwrap(), expected);
}

#[test]
fn lost_reports_are_told_and_leave_the_socket_clean() {
    let mut socket = socket();
    setsockopt(&socket.inner, sockopt::RcvBuf, &4096).unwrap();
    let (batch, last) = refused_batch(&mut socket, 1000);
    let reports = socket.submit(&batch, last).unwrap();
    assert!(reports.lost);
    let first = last - 999;
    assert_eq!(reports.refusals[0].sequence, first);
    assert!(reports.refusals.len() < 1000);

    let (batch, last) = refused_batch(&mut socket, 1);
    let reports = socket.submit(&batch, last).unwrap();
    assert!(!reports.lost);
    assert_eq!(reports.refusals.len(), 1);
}

#[test]
fn a_batch_of_refusals_fits_the_receive_buffer() {
    let mut socket = socket();
    if setsockopt(&socket.inner, sockopt::RcvBufForce, &RECEIVE_BYTES).is_err() {
        eprintln!("skipped: a larger receive buffer takes CAP_NET_ADMIN");
        return;
    }
    // Of requests with a generic netlink header and one attribute.
    let count = u32::try_from(BATCH_BYTES / 24).unwrap();
    let (batch, last) = refused_batch(&mut socket, count);
    let refusals = socket.exchange(&batch, last).unwrap();
    assert_eq!(refusals.len(), BATCH_BYTES / 24);
}

/// A request for all generic netlink families.
fn families(socket: &mut Socket) -> (Vec<u8>, u32) {
    const GENL_ID_CTRL: u16 = 16;
    const CTRL_CMD_GETFAMILY: u8 = 3;
    let sequence = socket.next_sequence();
    let mut request = message(20, GENL_ID_CTRL, &[CTRL_CMD_GETFAMILY, 2, 0, 0]);
    let mut header = NetlinkBuffer::new(&mut request);
    header.set_sequence_number(sequence);
    header.set_flags(NLM_F_REQUEST | NLM_F_DUMP);
    (request, sequence)
}

#[test]
fn a_dump_of_which_a_reply_is_not_understood_leaves_the_socket_clean() {
    let mut socket = socket();
    let (request, sequence) = families(&mut socket);
    let mut calls = 0;
    let dumped = socket.dump(&request, sequence, |_| {
        calls += 1;
        Err(invalid("not understood"))
    });
    assert_eq!(dumped.unwrap_err().to_string(), "not understood");
    assert_eq!(calls, 1);

    let (request, sequence) = families(&mut socket);
    let mut replies = 0;
    let dumped = socket.dump(&request, sequence, |_| {
        replies += 1;
        Ok(())
    });
    assert!(dumped.is_ok());
    assert!(replies > 1);
}

#[test]
fn a_refused_dump_is_an_error() {
    let mut socket = socket();
    let (request, last) = refused_batch(&mut socket, 1);
    let dumped = socket.dump(&request, last, |_| Ok(()));
    assert!(is(&dumped.unwrap_err(), Errno::ENOENT));
}
