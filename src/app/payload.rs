//! Writes contents as one tar stream whose members are named by their SHA-256.
//!
//! What compresses comes first and is one gzip member, what does not (pictures, archives) follows as it is: no side spends time on
//! a compressor that gains nothing. Memory is constant whatever the files are.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::error::Error;
use super::manifest::FileEntry;
use super::tree::open_same;

const BUFFER: usize = 256 << 10;
/// So many pieces of about that size may be ready before they are sent.
const AHEAD: usize = 4;
/// As much of a file decides whether it is compressed.
const SAMPLE: usize = 64 << 10;
/// A smaller file is not worth a look.
const SMALL: u64 = 4 << 10;
const BLOCK: usize = 512;
/// Files that are compressed already.
const DENSE: [&str; 34] = [
    "7z", "aac", "apk", "avif", "br", "bz2", "docx", "flac", "gif", "gz", "heic", "jar", "jpeg", "jpg", "lz4", "m4a",
    "m4v", "mkv", "mov", "mp3", "mp4", "ogg", "opus", "png", "tgz", "webm", "webp", "whl", "woff", "woff2", "xlsx",
    "xz", "zip", "zst",
];

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    pub files: u64,
    /// Bytes of content, before compression.
    pub bytes: u64,
}

/// Writes the contents of `files` (one file a content, as [`super::changes::to_send`] gives them) from the app's directory to `out`.
/// `progress` is told the bytes of content done so far. The caller flushes `out`.
///
/// Files are read, hashed and packed by another thread while this one sends: `out` is an SSH channel, which keeps a processor busy
/// with its cipher.
///
/// Errors: [`Error::Changed`] and [`Error::Gone`] when a file is not what the manifest says any more: the stream is broken
/// off then and must not be used. [`Error::Send`] when `out` fails.
pub fn write<W: Write>(
    root: &Path,
    files: &[&FileEntry],
    out: W,
    progress: &mut dyn FnMut(u64),
) -> Result<Sent, Error> {
    let (pieces, packed) = sync_channel(AHEAD);
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        let packing = scope.spawn(|| pack(root, files, Pieces(pieces), &done));
        let sending = send(packed, out, &mut || progress(done.load(Ordering::Relaxed)));
        let packing = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // When sending fails, packing fails for that reason.
        sending.map_err(Error::Send)?;
        packing
    })
}

/// The whole content of a file of the app, which must be what the manifest says.
///
/// Errors: as [`write`].
pub fn read(root: &Path, entry: &FileEntry) -> Result<Vec<u8>, Error> {
    let mut content = Content::open(root, entry)?;
    let mut bytes = vec![0; usize::try_from(entry.size).unwrap_or(usize::MAX)];
    let mut at = 0;
    while at < bytes.len() {
        at += content.read(&mut bytes[at..])?;
    }
    content.check()?;
    Ok(bytes)
}

/// Sends what is packed until there is no more.
fn send<W: Write>(packed: Receiver<Vec<u8>>, mut out: W, after_each: &mut dyn FnMut()) -> io::Result<()> {
    for piece in packed {
        out.write_all(&piece)?;
        after_each();
    }
    Ok(())
}

/// Hands pieces to the thread that sends.
struct Pieces(SyncSender<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the payload to `out`; `done` counts the bytes of content.
fn pack<W: Write>(root: &Path, files: &[&FileEntry], out: W, done: &AtomicU64) -> Result<Sent, Error> {
    let (dense, compressible): (Vec<&FileEntry>, Vec<&FileEntry>) = files.iter().partition(|file| is_dense(root, file));
    let mut sent = Sent::default();
    let out = BufWriter::with_capacity(BUFFER, out);
    let mut compressed = GzEncoder::new(out, Compression::fast());
    for file in compressible {
        put(root, file, &mut compressed, &mut sent, done)?;
    }
    let mut out = compressed.finish().map_err(Error::Send)?;
    for file in dense {
        put(root, file, &mut out, &mut sent, done)?;
    }
    out.write_all(&[0; 2 * BLOCK]).and_then(|()| out.flush()).map_err(Error::Send)?;
    Ok(sent)
}

/// Writes one member of the tar.
fn put(root: &Path, file: &FileEntry, out: &mut impl Write, sent: &mut Sent, done: &AtomicU64) -> Result<(), Error> {
    let mut content = Content::open(root, file)?;
    let mut buffer = vec![0; BUFFER.min(usize::try_from(file.size).unwrap_or(BUFFER))];
    out.write_all(&header(file)).map_err(Error::Send)?;
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        out.write_all(&buffer[..read]).map_err(Error::Send)?;
        sent.bytes += read as u64;
        done.store(sent.bytes, Ordering::Relaxed);
    }
    content.check()?;
    sent.files += 1;
    out.write_all(&[0; BLOCK][..padding(file.size)]).map_err(Error::Send)
}

fn header(file: &FileEntry) -> [u8; BLOCK] {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(file.size);
    // 64 hex digits always fit into the 100 bytes of a name.
    header.as_mut_bytes()[..file.sha256.len().min(100)]
        .copy_from_slice(&file.sha256.as_bytes()[..file.sha256.len().min(100)]);
    header.set_cksum();
    *header.as_bytes()
}

fn padding(size: u64) -> usize {
    ((BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64) as usize
}

/// A file that is held to what the manifest says of it.
struct Content<'a> {
    entry: &'a FileEntry,
    file: File,
    hasher: Sha256,
    left: u64,
}

impl<'a> Content<'a> {
    fn open(root: &Path, entry: &'a FileEntry) -> Result<Self, Error> {
        let path = root.join(&entry.path);
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::Gone { path: entry.path.clone() },
            _ => Error::Read { path: entry.path.clone(), source },
        };
        let seen = path.symlink_metadata().map_err(failed)?;
        if !seen.is_file() || seen.len() != entry.size {
            return Err(Error::Changed { path: entry.path.clone() });
        }
        let file = open_same(&path, &seen).map_err(failed)?;
        Ok(Content { entry, file, hasher: Sha256::new(), left: entry.size })
    }

    /// Fills the buffer as far as the file goes; 0 at its end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.file.read_exact(&mut buffer[..want]).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => Error::Changed { path: self.entry.path.clone() },
            _ => Error::Read { path: self.entry.path.clone(), source },
        })?;
        self.hasher.update(&buffer[..want]);
        self.left -= want as u64;
        Ok(want)
    }

    fn check(self) -> Result<(), Error> {
        if hex::encode(self.hasher.finalize()) == self.entry.sha256 {
            Ok(())
        } else {
            Err(Error::Changed { path: self.entry.path.clone() })
        }
    }
}

/// Whether compressing a file gains nothing, by its name or by how it begins. Of one that cannot be read, sending it says why.
fn is_dense(root: &Path, file: &FileEntry) -> bool {
    let begins = || -> io::Result<Vec<u8>> {
        let mut sample = Vec::with_capacity(SAMPLE);
        let path = root.join(&file.path);
        let seen = path.symlink_metadata()?;
        open_same(&path, &seen)?.take(SAMPLE as u64).read_to_end(&mut sample)?;
        Ok(sample)
    };
    file.size > SMALL && (is_dense_name(&file.path) || begins().is_ok_and(|sample| !compresses(&sample)))
}

pub(super) fn is_dense_name(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    DENSE.contains(&extension.as_str())
}

/// Whether a fast compressor takes off more than a tenth.
fn compresses(sample: &[u8]) -> bool {
    let mut encoder = GzEncoder::new(Vec::with_capacity(sample.len()), Compression::fast());
    match encoder.write_all(sample).and_then(|()| encoder.finish()) {
        Ok(compressed) => compressed.len() < sample.len() / 10 * 9,
        Err(_) => false,
    }
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
