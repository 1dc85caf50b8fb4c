//! What an error of the file system means in the terms of the contract.

use cofferdam_guest::Error;
use wasip2::filesystem::types::ErrorCode;

/// The error for a call that failed. `doing` is a verb, `path` is relative to the granted directory.
pub(crate) fn fault(doing: &str, path: &str, code: ErrorCode) -> Error {
    let text = |why: &str| format!("cannot {doing} {path:?}: {why}");
    match code {
        ErrorCode::Access => Error::Denied(text("the server's user lacks the permission")),
        ErrorCode::NotPermitted => {
            Error::Denied(text("not permitted; a symbolic link on the way leads out of the directory, or the file is immutable"))
        }
        ErrorCode::ReadOnly => Error::Denied(text("the file system is read-only")),
        ErrorCode::Loop => Error::Corrupt(text("symbolic links on the way lead in a circle")),
        ErrorCode::InsufficientSpace => Error::Exhausted(text("no space is left on the disk")),
        ErrorCode::Quota => Error::Exhausted(text("the disk quota is used up")),
        ErrorCode::FileTooLarge => Error::Exhausted(text("the file system or a limit of the process does not take a file this large")),
        ErrorCode::NameTooLong => Error::InvalidKey(text("a name on the way is too long for this file system")),
        ErrorCode::IllegalByteSequence | ErrorCode::Invalid => Error::InvalidKey(text("this file system does not take the name")),
        ErrorCode::IsDirectory | ErrorCode::NotDirectory => {
            Error::Corrupt(text("a directory stands where a file should, or a file where a directory should"))
        }
        code => Error::Unavailable(text(code.name())),
    }
}
