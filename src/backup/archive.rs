//! One file as a store for one backup: an uncompressed tar of the objects, as they would lie in a directory. Its members are
//! compressed already, and can be read from the middle of it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tar::Header;

use crate::node::Store;

const BLOCK: u64 = 512;

/// An object in the file.
#[derive(Debug, Clone)]
struct Member {
    /// `APP/OBJECT`.
    name: String,
    /// Where its header is; its content follows.
    at: u64,
    size: u64,
}

impl Member {
    fn content(&self) -> u64 {
        self.at + BLOCK
    }

    fn end(&self) -> u64 {
        self.content() + self.size.next_multiple_of(BLOCK)
    }
}

#[derive(Debug)]
pub struct Archive {
    file: File,
    members: Vec<Member>,
    writing: Option<Writing>,
}

/// An archive that is not yet whole.
#[derive(Debug)]
struct Writing {
    path: PathBuf,
    partial: PathBuf,
    /// The object that is being written, whose header is written when its size is known.
    open: Option<Member>,
}

impl Archive {
    /// Whether a destination is meant to be one.
    pub fn is_meant(path: &str) -> bool {
        path.ends_with(".tar")
    }

    /// A new one. It gets its name when the manifest is in it.
    ///
    /// # Errors
    /// When there is a file already, or none can be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there already"));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let partial = path.with_file_name(format!(".{name}.partial"));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        let writing = Writing { path: path.to_owned(), partial, open: None };
        Ok(Archive { file, members: Vec::new(), writing: Some(writing) })
    }

    /// One that is whole.
    ///
    /// # Errors
    /// When it cannot be read, or is no tar file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut members = Vec::new();
        for entry in tar::Archive::new(&file).entries_with_seek()? {
            let entry = entry?;
            if let Some(name) = entry.path()?.to_str() {
                members.push(Member { name: name.to_owned(), at: entry.raw_header_position(), size: entry.size() });
            }
        }
        Ok(Archive { file, members, writing: None })
    }

    /// Whose backups are in it.
    pub fn apps(&self) -> Vec<String> {
        let mut apps: Vec<String> = self
            .members
            .iter()
            .filter_map(|member| member.name.split_once('/'))
            .filter(|(_, name)| name.ends_with(".json"))
            .map(|(app, _)| app.to_owned())
            .collect();
        apps.dedup();
        apps
    }

    fn find(&self, app: &str, name: &str) -> Option<usize> {
        let wanted = format!("{app}/{name}");
        self.members.iter().position(|member| member.name == wanted)
    }

    fn end(&self) -> u64 {
        self.members.last().map_or(0, Member::end)
    }

    fn finish(&mut self) -> io::Result<()> {
        let Some(writing) = &self.writing else { return Ok(()) };
        let end = self.end();
        self.file.set_len(end)?;
        self.file.write_all_at(&[0; 2 * BLOCK as usize], end)?;
        self.file.sync_all()?;
        fs::rename(&writing.partial, &writing.path)?;
        File::open(writing.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        self.writing = None;
        Ok(())
    }
}

impl Store for Archive {
    fn list(&mut self, app: &str) -> io::Result<BTreeMap<String, u64>> {
        let own = |member: &Member| {
            let (owner, name) = member.name.split_once('/')?;
            (owner == app && !name.contains('/')).then(|| (name.to_owned(), member.size))
        };
        Ok(self.members.iter().filter_map(own).collect())
    }

    fn read(&mut self, app: &str, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let member = self.find(app, name).map(|number| &self.members[number]);
        let member = member.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{name} is not in it")))?;
        let length = (length as u64).min(member.size.saturating_sub(offset));
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(member.content() + offset))?;
        Read::by_ref(&mut self.file).take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, app: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (name, at) = (format!("{app}/{name}"), self.end());
        let writing = self.writing.as_mut().ok_or_else(whole)?;
        let open = match &mut writing.open {
            Some(open) if open.name == name => open,
            // What was begun before and not committed is nothing.
            open => open.insert(Member { name, at, size: 0 }),
        };
        self.file.write_all_at(bytes, open.content() + open.size)?;
        open.size += bytes.len() as u64;
        Ok(())
    }

    fn commit(&mut self, app: &str, name: &str) -> io::Result<()> {
        let writing = self.writing.as_mut().ok_or_else(whole)?;
        let member = writing.open.take().filter(|open| open.name == format!("{app}/{name}"));
        let member = member.ok_or_else(|| io::Error::other(format!("{name} was not written")))?;
        let mut header = Header::new_gnu();
        header.set_path(&member.name)?;
        header.set_size(member.size);
        header.set_mode(0o600);
        header.set_mtime(std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs());
        header.set_cksum();
        self.file.write_all_at(header.as_bytes(), member.at)?;
        self.file.set_len(member.end())?;
        self.members.push(member);
        if name.ends_with(".json") { self.finish() } else { Ok(()) }
    }

    /// What is behind it moves up: only an object with nothing in it is ever taken back, before the last.
    fn delete(&mut self, app: &str, name: &str) -> io::Result<()> {
        self.writing.as_ref().ok_or_else(whole)?;
        let Some(number) = self.find(app, name) else { return Ok(()) };
        let gone = self.members.remove(number);
        let (mut from, mut to) = (gone.end(), gone.at);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = self.file.read_at(&mut buffer, from)?;
            if read == 0 {
                break;
            }
            self.file.write_all_at(&buffer[..read], to)?;
            from += read as u64;
            to += read as u64;
        }
        for member in &mut self.members[number..] {
            member.at -= gone.end() - gone.at;
        }
        self.file.set_len(to)
    }
}

fn whole() -> io::Error {
    io::Error::other("an archive that is whole is not changed")
}

impl Drop for Archive {
    /// What has no manifest is no backup.
    fn drop(&mut self) {
        if let Some(writing) = &self.writing {
            // Where this fails, it has a name that nobody takes for an archive.
            let _ = fs::remove_file(&writing.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_written_is_read_and_is_a_tar_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("b.tar");
        let mut new = Archive::create(&path).unwrap();
        let objects =
            [("a.tree.zst", vec![1; 700]), ("b.pack.zst", vec![2; 1024]), ("c.zst", Vec::new()), ("d.zst", vec![4; 1])];
        for (name, content) in &objects {
            for piece in content.chunks(300).chain([&[][..]]) {
                new.write("shop", name, piece).unwrap();
            }
            new.commit("shop", name).unwrap();
        }
        new.delete("shop", "b.pack.zst").unwrap();
        new.delete("shop", "never.zst").unwrap();
        assert_eq!(names(place.path()), [".b.tar.partial"]);
        new.write("shop", "a.json", b"{}").unwrap();
        new.commit("shop", "a.json").unwrap();
        assert!(new.write("shop", "late.zst", b"x").is_err());
        drop(new);
        assert_eq!(names(place.path()), ["b.tar"]);
        assert!(Archive::create(&path).is_err());

        let mut whole = Archive::open(&path).unwrap();
        assert_eq!(whole.apps(), ["shop"]);
        let sizes: Vec<(String, u64)> = whole.list("shop").unwrap().into_iter().collect();
        let expected = [("a.json", 2), ("a.tree.zst", 700), ("c.zst", 0), ("d.zst", 1)];
        assert_eq!(sizes, expected.map(|(name, size)| (name.to_owned(), size)));
        assert!(whole.list("other").unwrap().is_empty());
        assert_eq!(whole.read("shop", "a.tree.zst", 600, 500).unwrap(), vec![1; 100]);
        assert_eq!(whole.read("shop", "d.zst", 0, 500).unwrap(), [4]);
        assert_eq!(whole.read("shop", "d.zst", 7, 500).unwrap(), Vec::<u8>::new());
        assert!(whole.read("shop", "b.pack.zst", 0, 1).is_err());
        assert!(whole.delete("shop", "d.zst").is_err() && whole.write("shop", "e", b"").is_err());
        let listed = std::process::Command::new("tar").arg("-tf").arg(&path).output().unwrap();
        assert!(listed.status.success());
        assert_eq!(String::from_utf8_lossy(&listed.stdout), "shop/a.tree.zst\nshop/c.zst\nshop/d.zst\nshop/a.json\n");
    }

    #[test]
    fn what_was_not_finished_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let mut new = Archive::create(&place.path().join("b.tar")).unwrap();
        new.write("shop", "a.zst", b"half").unwrap();
        new.commit("shop", "a.zst").unwrap();
        drop(new);
        assert!(names(place.path()).is_empty());
    }

    #[test]
    fn other_files_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("b.tar");
        fs::write(&path, vec![7; 5000]).unwrap();
        assert!(Archive::open(&path).is_err());
    }
}
