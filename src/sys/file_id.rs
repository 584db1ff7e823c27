//! Which file it is, whatever it is called.
//!
//! The number of an inode is given to another file as soon as the last name and the last opening of
//! the first are gone, on ext4 to the very next one. Who remembers a file without keeping it open
//! therefore remembers when it was made, too.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file, told from every other that there is or was. File systems that do not say when a file was
/// made (NFS, and the kernel before 4.11) tell it only from those that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    dev: u64,
    ino: u64,
    made: Option<SystemTime>,
}

impl FileId {
    pub(crate) fn of(meta: &Metadata) -> FileId {
        FileId { dev: meta.dev(), ino: meta.ino(), made: meta.created().ok() }
    }

    /// The file at a path, links followed.
    pub(crate) fn at(path: &Path) -> Option<FileId> {
        fs::metadata(path).ok().as_ref().map(FileId::of)
    }

    /// A word that is different for each file.
    pub(crate) fn word(self) -> String {
        let made = self.made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
        let made = made.map_or(0, |made| made.as_nanos());
        format!("{:x}:{:x}:{made:x}", self.dev, self.ino)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files in one directory, each made when the one before is gone: their inodes are the same on
    /// most file systems, and they are never the same file.
    #[test]
    fn a_number_that_is_given_again_is_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let make = || {
            fs::write(&path, "").unwrap();
            let id = FileId::at(&path).unwrap();
            let renamed = dir.path().join("renamed");
            fs::rename(&path, &renamed).unwrap();
            assert_eq!(FileId::at(&renamed), Some(id));
            fs::remove_file(renamed).unwrap();
            id
        };
        let first = make();
        if first.made.is_none() {
            eprintln!("not checked: this file system does not say when a file was made");
            return;
        }
        // The clock of a file system goes in steps of some milliseconds.
        let is_later = |id: &FileId| (id.dev, id.ino) == (first.dev, first.ino) && *id != first;
        let Some(later) = (0..1_000_000).map(|_| make()).find(is_later) else {
            eprintln!("not checked: this file system gives no number twice");
            return;
        };
        assert_ne!(later.word(), first.word());
    }
}
