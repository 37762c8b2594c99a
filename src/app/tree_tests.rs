use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;

use super::*;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    dir
}

fn paths(dir: &Path) -> Vec<String> {
    scan(dir).unwrap().files.into_iter().map(|file| file.path).collect()
}

fn unfit(dir: &Path) -> String {
    scan(dir).unwrap_err().to_string()
}

#[test]
fn files_links_and_empty_directories() {
    let dir = tree(&[("b/run", "x"), ("a.txt", "abc"), ("b-c", ""), ("void/deep/__pycache__/x.pyc", "")]);
    std::fs::set_permissions(dir.path().join("b/run"), std::fs::Permissions::from_mode(0o610)).unwrap();
    std::fs::create_dir_all(dir.path().join("static/empty")).unwrap();
    symlink("../a.txt", dir.path().join("b/link")).unwrap();
    symlink("missing", dir.path().join("dangling")).unwrap();
    let manifest = scan(dir.path()).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&manifest).unwrap(), @r#"
    {
      "files": [
        {
          "path": "a.txt",
          "mode": "0644",
          "size": 3,
          "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        },
        {
          "path": "b-c",
          "mode": "0644",
          "size": 0,
          "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        },
        {
          "path": "b/run",
          "mode": "0755",
          "size": 1,
          "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
        }
      ],
      "links": [
        {
          "path": "b/link",
          "target": "../a.txt"
        },
        {
          "path": "dangling",
          "target": "missing"
        }
      ],
      "dirs": [
        "static/empty",
        "void/deep"
      ]
    }
    "#);
}

#[test]
fn ignore_files() {
    let dir = tree(&[
        ("app.py", ""),
        ("app.pyc", ""),
        ("app.py~", ""),
        (".git/config", ""),
        ("src/.svn/entries", ""),
        ("src/__pycache__/a.pyc", ""),
        (".gitignore", "*.log\n/dist/\n!keep.log\nlocal/*\n"),
        (".cloudtoolignore", "# ours\nnotes/\n!/dist/\n!wanted.pyc\n"),
        ("dist/app.js", ""),
        ("sub/dist/x", ""),
        ("wanted.pyc", ""),
        ("a.log", ""),
        ("keep.log", ""),
        ("notes/x", ""),
        ("local/x", ""),
        ("sub/.gitignore", "!b.log\nonly-here\n"),
        ("sub/b.log", ""),
        ("sub/c.log", ""),
        ("sub/only-here", ""),
        ("sub2/only-here", ""),
        ("sub2/b.log", ""),
    ]);
    assert_eq!(
        paths(dir.path()),
        ["app.py", "dist/app.js", "keep.log", "sub/b.log", "sub/dist/x", "sub2/only-here", "wanted.pyc"]
    );
    std::fs::write(dir.path().join("sub/.gitignore"), "fine\nx[z-a]\n").unwrap();
    let message = unfit(dir.path());
    assert!(message.contains("sub/.gitignore:2: "), "{message}");
}

#[test]
fn links_that_leave_are_refused_by_name() {
    let dir = tree(&[("a/b/x", ""), ("outside/y", "")]);
    let app = dir.path().join("a");
    std::fs::create_dir_all(app.join("c/d")).unwrap();
    std::fs::write(app.join("c/d/z"), "").unwrap();
    symlink("/etc/passwd", app.join("absolute")).unwrap();
    symlink("../outside/y", app.join("out")).unwrap();
    symlink("b/../../nothing", app.join("out-dangling")).unwrap();
    symlink("c/../b/x", app.join("fine")).unwrap();
    // Looks harmless, but `up` leads to the top before `..` is taken.
    symlink("../..", app.join("c/d/up")).unwrap();
    symlink("up/../..", app.join("c/d/sly")).unwrap();
    symlink("loop", app.join("loop")).unwrap();
    insta::assert_snapshot!(unfit(&app), @r#"
    "absolute" is a link to the absolute path "/etc/passwd": make it relative, or copy what it points to
    "c/d/sly" is a link that leaves the app, to "up/../..": copy what it points to
    "out" is a link that leaves the app, to "../outside/y": copy what it points to
    "out-dangling" is a link that leaves the app, to "b/../../nothing": copy what it points to
    "#);
}

#[test]
fn what_is_no_file_is_refused_by_name() {
    let dir = tree(&[("ok", "")]);
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("sock")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("pi\npe")).status().unwrap();
    assert!(made.success());
    std::fs::write(dir.path().join(OsStr::from_bytes(b"bad-\xff")), "").unwrap();
    insta::assert_snapshot!(unfit(dir.path()), @r#"
    "bad-�" has a name that is not UTF-8
    "pi\npe" is a named pipe: only files, directories and links travel
    "sock" is a socket: only files, directories and links travel
    "#);
    assert!(matches!(scan(&dir.path().join("ok")), Err(Error::NotADirectory(_))));
}

#[test]
fn ten_thousand_files() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..10_000 {
        let sub = dir.path().join(format!("d{}", n % 100));
        if n < 100 {
            std::fs::create_dir(&sub).unwrap();
        }
        std::fs::write(sub.join(format!("f{n}")), n.to_string()).unwrap();
    }
    let manifest = scan(dir.path()).unwrap();
    assert_eq!(manifest.files.len(), 10_000);
    assert!(manifest.files.is_sorted_by(|a, b| a.path < b.path));
}

#[test]
fn a_replaced_or_grown_file_is_noticed() {
    let dir = tree(&[("a", "one"), ("b", "two")]);
    let path = dir.path().join("a");
    let seen = path.symlink_metadata().unwrap();
    std::fs::write(&path, "longer").unwrap();
    let message = hash(&path, &seen, &mut [0; 16]).unwrap_err().to_string();
    assert_eq!(message, "it changed while it was read");
    std::fs::rename(dir.path().join("b"), &path).unwrap();
    let message = hash(&path, &seen, &mut [0; 16]).unwrap_err().to_string();
    assert_eq!(message, "it was replaced while it was read");
    std::fs::remove_file(&path).unwrap();
    let error = hash(&path, &seen, &mut [0; 16]).unwrap_err();
    assert_eq!(unreadable(&error), "vanished while the directory was read");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_name_just_works(names in prop::collection::btree_set("[^/\0]{1,40}", 1..6)) {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = names.into_iter().filter(|name| name != "." && name != ".." && name.len() < 200).collect();
        // An ignore file that takes everything back in, whatever the name looks like.
        std::fs::write(dir.path().join(".cloudtoolignore"), "!*\n").unwrap();
        let names: Vec<String> = names.into_iter().filter(|name| ![".cloudtoolignore", ".gitignore"].contains(&name.as_str())).collect();
        for name in &names {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let found: Vec<String> = paths(dir.path()).into_iter().filter(|path| path != ".cloudtoolignore").collect();
        prop_assert_eq!(found, names);
    }
}
