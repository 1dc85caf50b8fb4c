//! Every way to change what is in a directory. What a read-only one must refuse.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags};

/// Tries them all on the granted directory, which holds the file `own` and the folder `sub`, and tells what came of each, a line each.
pub fn try_all() -> String {
    let Some((root, _)) = get_directories().pop() else { return "no directory".to_owned() };
    let now = NewTimestamp::Now;
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY;
    let open = |path: &str, how, rights| root.open_at(PathFlags::empty(), path, how, rights);
    let own = |rights| open("own", OpenFlags::empty(), rights);
    let sub = || open("sub", OpenFlags::DIRECTORY, DescriptorFlags::READ);
    let written = |file: Result<Descriptor, ErrorCode>| file.and_then(|file| file.write(b"changed", 0).map(drop));
    let tries: Vec<(&str, Result<(), ErrorCode>)> = vec![
        ("create", open("new", OpenFlags::CREATE, DescriptorFlags::READ | DescriptorFlags::WRITE).map(drop)),
        ("create to read", open("new", OpenFlags::CREATE, DescriptorFlags::READ).map(drop)),
        ("open to write", written(own(DescriptorFlags::WRITE))),
        ("open to read and write", written(own(DescriptorFlags::READ | DescriptorFlags::WRITE))),
        ("truncate", open("own", OpenFlags::TRUNCATE, DescriptorFlags::READ).map(drop)),
        ("truncate to write", open("own", OpenFlags::TRUNCATE, DescriptorFlags::WRITE).map(drop)),
        ("write what is open to read", written(own(DescriptorFlags::READ))),
        ("stream into what is open to read", own(DescriptorFlags::READ).and_then(|file| file.write_via_stream(0).map(drop))),
        ("append to what is open to read", own(DescriptorFlags::READ).and_then(|file| file.append_via_stream().map(drop))),
        ("set size", own(DescriptorFlags::READ).and_then(|file| file.set_size(0))),
        ("set times", own(DescriptorFlags::READ).and_then(|file| file.set_times(now, now))),
        ("set times by path", root.set_times_at(PathFlags::empty(), "own", now, now)),
        ("set times of the root", root.set_times(now, now)),
        ("create a folder", root.create_directory_at("folder")),
        ("create a folder below", sub().and_then(|sub| sub.create_directory_at("folder"))),
        ("create below", sub().and_then(|sub| sub.open_at(PathFlags::empty(), "new", OpenFlags::CREATE, flags).map(drop))),
        ("link", root.link_at(PathFlags::empty(), "own", &root, "linked")),
        ("link into a folder", sub().and_then(|sub| root.link_at(PathFlags::empty(), "own", &sub, "linked"))),
        ("link symbolically", root.symlink_at("own", "soft")),
        ("open a folder to change it", open("sub", OpenFlags::DIRECTORY, flags).and_then(|sub| sub.create_directory_at("folder"))),
        ("rename", root.rename_at("own", &root, "other")),
        ("rename into a folder", sub().and_then(|sub| root.rename_at("own", &sub, "own"))),
        ("unlink", root.unlink_file_at("own")),
        ("remove a folder", root.remove_directory_at("sub")),
    ];
    tries.into_iter().map(|(what, came)| format!("{what}: {came:?}\n")).collect()
}
