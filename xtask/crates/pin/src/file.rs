//! Files that a person named: read whole, and only where they are files that end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// More than anybody writes by hand, in bytes.
pub const LONGEST: u64 = 64 << 20;

/// All of a plain file of at most `longest` bytes. Nothing else is waited for: a pipe has no end until its writer says so, and a
/// device has none.
///
/// # Errors
/// What the system says; `InvalidInput` for what is no plain file, `FileTooLarge` for what is longer.
pub fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_plain(path)?.take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest { Err(too_large(longest)) } else { Ok(bytes) }
}

/// As `read`, for what need not be in memory as a whole. A file that has more by now is refused.
///
/// # Errors
/// As `read`.
pub fn reader(path: &Path, longest: u64) -> io::Result<impl Read> {
    Ok(open(path, longest)?.take(longest))
}

/// As `reader`, for whoever reads it more than once. What it has more than now is not to be read.
///
/// # Errors
/// As `read`.
pub fn open(path: &Path, longest: u64) -> io::Result<File> {
    let file = open_plain(path)?;
    if file.metadata()?.len() > longest { Err(too_large(longest)) } else { Ok(file) }
}

fn too_large(longest: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {longest} bytes"))
}

fn open_plain(path: &Path) -> io::Result<File> {
    // Before it is opened, since that alone can do something to a device.
    plain(&std::fs::metadata(path)?)?;
    let file = File::from(rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?);
    plain(&file.metadata()?)?;
    Ok(file)
}

/// As `read`, for what has to be text.
///
/// # Errors
/// As `read`; `InvalidData` for what is not UTF-8.
pub fn read_text(path: &Path, longest: u64) -> io::Result<String> {
    String::from_utf8(read(path, longest)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn plain(metadata: &std::fs::Metadata) -> io::Result<()> {
    let refused = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a file")));
    match metadata.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => refused("a folder"),
        _ => refused("a pipe, a socket or a device"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn what_has_no_end_is_refused_at_once_and_a_file_is_read() {
        let folder = std::env::temp_dir().join(format!("pin-file-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let at = |name: &str| folder.join(name);
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink(at("fifo"), at("link to a fifo")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", at("link to a device")).unwrap();
        std::fs::write(at("text"), "A=b\n").unwrap();
        std::os::unix::fs::symlink(at("text"), at("link")).unwrap();
        File::create(at("sparse")).unwrap().set_len(1 << 40).unwrap();
        let told = |path: PathBuf| read(&path, 1 << 20).map_err(|error| error.to_string());
        for name in ["fifo", "link to a fifo", "socket", "link to a device"] {
            assert_eq!(told(at(name)), Err("it is a pipe, a socket or a device, not a file".to_owned()), "{name}");
        }
        assert_eq!(told("/dev/tty".into()), Err("it is a pipe, a socket or a device, not a file".to_owned()));
        assert_eq!(told(folder.clone()), Err("it is a folder, not a file".to_owned()));
        assert_eq!(told(at("sparse")), Err("it is longer than 1048576 bytes".to_owned()));
        assert_eq!(read(&at("absent"), 9).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(told(at("link")), Ok(b"A=b\n".to_vec()));
        assert_eq!(read(&at("text"), 4).unwrap(), b"A=b\n");
        assert!(read(&at("text"), 3).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
