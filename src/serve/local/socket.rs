//! Getting hold of a unix socket that only root can use.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net;
use std::path::Path;

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind as name};
use nix::sys::socket::{listen, socket};
use tokio::net::UnixListener;

/// Clients that may wait to be accepted.
const WAITING: i32 = 16;

/// Listens at a path.
///
/// # Errors
/// `AddrInUse` if somebody else does.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let told = |error: io::Error| {
        let text = format!("cannot listen on {}: {error}", path.display());
        io::Error::new(error.kind(), text)
    };
    if let Some(directory) = path.parent() {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o755);
        builder.create(directory).map_err(told)?;
    }
    clear(path).map_err(told)?;
    open(path).map_err(told)
}

/// Removes the socket of an agent that has died; no agent removes its own, since one that is killed
/// cannot.
fn clear(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        let text = "there is a file that is no socket; remove it or choose another --socket";
        return Err(io::Error::new(ErrorKind::AlreadyExists, text));
    }
    match net::UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => {
            let text = "another agent answers there; stop it first, two would undo each other";
            Err(io::Error::new(ErrorKind::AddrInUse, text))
        }
    }
}

fn open(path: &Path) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The file gets the mode that the socket has when it is named (unix(7), `unix_bind`), so there
    // is no moment at which others could connect, as there would be with a chmod afterwards.
    let file = File::from(socket);
    file.set_permissions(Permissions::from_mode(0o600))?;
    let socket = OwnedFd::from(file);
    name(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&socket, Backlog::new(WAITING)?)?;
    UnixListener::from_std(net::UnixListener::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn only_root_can_use_it_and_its_directory_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/spillway/spillway.sock");
        let _listener = bind(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o755);
    }

    #[tokio::test]
    async fn the_socket_of_a_dead_agent_is_replaced_but_not_that_of_a_live_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let live = bind(&path).unwrap();
        let error = bind(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("another agent"), "{error}");
        drop(live);
        assert!(path.exists());
        let _next = bind(&path).unwrap();
        net::UnixStream::connect(&path).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        fs::write(&path, "precious").unwrap();
        let error = bind(&path).unwrap_err();
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
