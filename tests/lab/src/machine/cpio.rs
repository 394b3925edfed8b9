//! Writes a cpio archive in the "newc" format that the kernel unpacks at boot
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).

/// The kind of a directory entry and its rights, as in `stat(2)`.
const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;

/// Names the end of an archive.
const TRAILER: &str = "TRAILER!!!";

/// An archive being written.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a folder; the folders above it come first.
    pub fn folder(&mut self, path: &str) {
        self.entry(path, DIRECTORY, &[]);
    }

    /// Adds an executable file.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(path, EXECUTABLE, content);
    }

    /// The archive's bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let header = [
            self.entries, // inode
            mode,
            0, // user
            0, // group
            1, // links
            0, // modification time
            u32::try_from(content.len()).expect("a file of the initramfs is small"),
            0, // device, major
            0, // device, minor
            0, // special device, major
            0, // special device, minor
            u32::try_from(path.len() + 1).expect("a path of the initramfs is short"),
            0, // checksum, of another format
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in header {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    /// Names and contents end at multiples of four.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_header_a_name_and_a_content_each_padded_to_four() {
        let mut archive = Archive::default();
        archive.file("init", b"hello");
        let bytes = archive.finish();
        let text = String::from_utf8(bytes).expect("plain text");
        let header = "070701 00000001 000081ED 00000000 00000000 00000001 00000000 00000005 \
                      00000000 00000000 00000000 00000000 00000005 00000000"
            .replace(' ', "");
        let expected = format!("{header}init\0\0hello\0\0\0070701");
        assert_eq!(&text[..expected.len()], expected);
        assert!(text.ends_with("TRAILER!!!\0\0\0\0"), "{text:?}");
        assert_eq!(text.len() % 4, 0);
    }
}
