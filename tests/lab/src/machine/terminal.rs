//! The terminal of the person who runs the lab.

use std::io::{IsTerminal, stdin};
use std::process::Command;

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

/// Puts the terminal back as it was: QEMU makes it raw, and may be killed.
pub struct Restored(Option<Termios>);

impl Restored {
    /// Remembers how the terminal is now.
    pub fn later() -> Self {
        Self(tcgetattr(stdin()).ok())
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            // The terminal may be gone; then there is nothing to put back.
            let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, settings);
        }
    }
}

/// Whether a person can type.
pub fn is_there() -> bool {
    stdin().is_terminal()
}

/// Rows and columns, as arguments of `stty`.
pub fn size() -> Option<String> {
    let output = Command::new("stty")
        .arg("size")
        .stdin(std::process::Stdio::inherit())
        .output();
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    let (rows, columns) = text.trim().split_once(' ')?;
    Some(format!("rows {rows} cols {columns}"))
}
