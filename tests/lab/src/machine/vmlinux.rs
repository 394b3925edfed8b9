//! Unpacks a kernel image once, so that the emulated processor need not do it at every boot: that
//! takes it three to four seconds, as long as all the rest.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

/// Of the image's header (`Documentation/arch/x86/boot.rst`): its name and where it is, the number
/// of sectors before the part that the payload's offset is counted from, offset and length.
const MAGIC: &[u8] = b"HdrS";
const MAGIC_AT: usize = 0x202;
const SETUP_SECTORS_AT: usize = 0x1f1;
const PAYLOAD_OFFSET_AT: usize = 0x248;
const PAYLOAD_LENGTH_AT: usize = 0x24c;
const SECTOR: usize = 512;

/// How Debian compresses its kernels.
const XZ: &[u8] = b"\xfd7zXZ\0";

/// Unpacks the image at `packed` to the file `unpacked`.
pub fn unpack(packed: &Path, unpacked: &Path) -> anyhow::Result<()> {
    let image = fs::read(packed).with_context(|| format!("read {}", packed.display()))?;
    let payload = payload(&image).context("this is no kernel image")?;
    ensure!(
        payload.starts_with(XZ),
        "the kernel image is not compressed by xz"
    );

    let source = unpacked.with_extension("xz");
    fs::write(&source, payload)?;
    let mut xz = Command::new("xz");
    // The size of the kernel follows the stream.
    xz.args(["--decompress", "--single-stream", "--stdout"])
        .arg(&source)
        .stdout(File::create(unpacked)?)
        .stdin(Stdio::null());
    let status = xz.status().context("start xz")?;
    if !status.success() {
        bail!("{xz:?}: {status}");
    }
    Ok(fs::remove_file(&source)?)
}

/// The compressed kernel in an image.
fn payload(image: &[u8]) -> Option<&[u8]> {
    let number = |at: usize| {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    image.get(MAGIC_AT..)?.starts_with(MAGIC).then_some(())?;
    let setup = (usize::from(*image.get(SETUP_SECTORS_AT)?) + 1) * SECTOR;
    let start = setup + number(PAYLOAD_OFFSET_AT)?;
    image.get(start..start + number(PAYLOAD_LENGTH_AT)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_where_the_header_says() {
        let mut image = vec![0; 4 * SECTOR];
        image[SETUP_SECTORS_AT] = 1;
        image[MAGIC_AT..][..4].copy_from_slice(MAGIC);
        image[PAYLOAD_OFFSET_AT..][..4].copy_from_slice(&16_u32.to_le_bytes());
        image[PAYLOAD_LENGTH_AT..][..4].copy_from_slice(&6_u32.to_le_bytes());
        image[2 * SECTOR + 16..][..6].copy_from_slice(XZ);
        assert_eq!(payload(&image), Some(XZ));

        image[PAYLOAD_LENGTH_AT..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(payload(&image), None, "longer than the image");
        assert_eq!(payload(b"not an image"), None);
    }
}
