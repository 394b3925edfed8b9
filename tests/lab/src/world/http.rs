//! The smallest HTTP client: one GET, one answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::netns::Netns;

/// Whoever is asked here answers from memory, at once; this allows for emulation.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gets a path from a server, in a namespace: the status code and the body.
pub(super) fn get(netns: &Netns, server: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = netns.enter(|| TcpStream::connect_timeout(&server, PATIENCE))??;
    stream.set_read_timeout(Some(PATIENCE))?;
    // HTTP/1.0: the body ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, answer.clone()))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?.parse().ok()?;
    Some((code, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_code_and_a_body() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\nnot yet";
        assert_eq!(parse(answer), Some((503, "not yet".to_owned())));
        assert_eq!(parse("nonsense"), None);
    }
}
