//! Which files of an app's directory stay at home.
//!
//! Three layers, the first that has an opinion decides: `.cloudtoolignore` files, `.gitignore` files, `default.ignore`. Within the
//! first two the file nearest to the path decides. As with git, what is in a directory that stays at home stays there too.
//! Files above the app's directory and the user's own git settings do not count: a deploy depends on the app alone.

use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::error::Error;

const DEFAULTS: &str = include_str!("default.ignore");

/// The rules on the way from the app's directory to where the walk is.
pub struct Rules {
    defaults: Gitignore,
    /// One element a directory, the app's own first.
    levels: Vec<Level>,
}

struct Level {
    cloudtool: Gitignore,
    git: Gitignore,
}

impl Rules {
    /// The defaults; `root` is the app's directory.
    pub fn new(root: &Path) -> Result<Self, Error> {
        let defaults = build(root, Path::new("default.ignore"), DEFAULTS)?;
        Ok(Rules { defaults, levels: Vec::new() })
    }

    /// Takes up the ignore files of `dir`, which is `depth` levels below the app's directory, and forgets those of its siblings.
    pub fn enter(&mut self, dir: &Path, depth: usize) -> Result<(), Error> {
        self.levels.truncate(depth);
        let read = |name| read(dir, &dir.join(name));
        self.levels.push(Level { cloudtool: read(".cloudtoolignore")?, git: read(".gitignore")? });
        Ok(())
    }

    /// Whether the path stays at home. Its parent's directory must have been entered, `depth` is the path's own.
    pub fn leaves_out(&mut self, path: &Path, is_dir: bool, depth: usize) -> bool {
        self.levels.truncate(depth);
        let from_near = || self.levels.iter().rev();
        let layers = from_near()
            .map(|level| &level.cloudtool)
            .chain(from_near().map(|level| &level.git))
            .chain(std::iter::once(&self.defaults));
        for layer in layers {
            match layer.matched(path, is_dir) {
                Match::None => {}
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        false
    }
}

fn read(dir: &Path, file: &Path) -> Result<Gitignore, Error> {
    match std::fs::read(file) {
        Ok(text) => build(dir, file, &String::from_utf8_lossy(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Gitignore::empty()),
        Err(source) => Err(Error::Read { path: file.display().to_string(), source }),
    }
}

fn build(dir: &Path, file: &Path, text: &str) -> Result<Gitignore, Error> {
    let failed =
        |line, error: ignore::Error| Error::IgnoreFile { file: file.to_owned(), line, message: error.to_string() };
    let mut builder = GitignoreBuilder::new(dir);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        builder.add_line(None, line).map_err(|error| failed(index + 1, error))?;
    }
    builder.build().map_err(|error| failed(1, error))
}
