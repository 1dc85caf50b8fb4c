//! The other half: what must be stopped, each by its name.

use std::hint::black_box;
use std::time::Duration;

use wasip2::clocks::monotonic_clock;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use wasip2::sockets;

use crate::cofferdam::backend::log::{Level, write};
use crate::cofferdam::backend::types::Error;
use crate::{honest, mutations};

/// Commits the misdeed, or tells what came of the attempt.
pub fn commit(name: &str) -> Result<Vec<u8>, Error> {
    match name {
        "loop" => loop {
            black_box(());
        },
        "memory" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(vec![1_u8; 1 << 20]);
                black_box(&hoard);
            }
        }
        "handles" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(monotonic_clock::subscribe_duration(u64::MAX));
            }
        }
        "files" => {
            let mut hoard = Vec::new();
            loop {
                let (root, _) = get_directories().remove(0);
                hoard.push(open(&root, "f", OpenFlags::CREATE).map_err(|error| Error::Denied(format!("{} files: {error}", hoard.len())))?);
            }
        }
        "recurse" => {
            #[expect(unconditional_recursion, reason = "the misdeed")]
            fn deeper(n: u64) -> u64 {
                black_box(deeper(black_box(n + 1))) + 1
            }
            Ok(deeper(0).to_string().into())
        }
        "panic" => panic!("a panic\nthat spans lines \u{1b}[31m"),
        "trap" => std::process::abort(),
        "exit" => std::process::exit(0),
        "out-of-bounds" => {
            // Beyond the memory of the instance.
            let beyond = black_box(u32::MAX - 8) as *const u8;
            Ok(vec![unsafe { std::ptr::read_volatile(beyond) }])
        }
        "sleep" => {
            std::thread::sleep(Duration::from_secs(3600));
            Ok(Vec::new())
        }
        "nap" => {
            std::thread::sleep(Duration::from_millis(200));
            Ok(b"rested".to_vec())
        }
        "spin" => {
            let start = std::time::Instant::now();
            while start.elapsed() < Duration::from_millis(200) {
                black_box(());
            }
            Ok(b"dizzy".to_vec())
        }
        "huge" => Ok(vec![7; 24 << 20]),
        "random" => Ok(wasip2::random::random::get_random_bytes(1 << 30)),
        "log-flood" => {
            for n in 0..100_000 {
                write(Level::Info, &format!("line {n}"));
            }
            Ok(Vec::new())
        }
        "log-long" => {
            write(Level::Info, &"long ".repeat(200_000));
            Ok(Vec::new())
        }
        "log-forge" => {
            write(Level::Info, "begin\n2026-01-01T00:00:00Z ERROR forged: all is lost \u{1b}[2J\r\u{202e}end");
            println!("printed\u{7}");
            Ok(Vec::new())
        }
        "error-forge" => Err(Error::Denied(format!("no\n\u{1b}[2J{}", "x".repeat(10_000)))),
        "environment" => {
            let seen: Vec<String> = std::env::vars().map(|(name, _)| name).chain(std::env::args()).collect();
            Ok(format!("{seen:?} {:?}", std::env::current_dir().is_ok_and(|path| path.read_dir().is_ok())).into())
        }
        "stdin" => {
            let mut line = String::new();
            let read = std::io::stdin().read_line(&mut line);
            Ok(format!("{read:?} {line:?}").into())
        }
        "sockets" => Ok(sockets().into()),
        "mutations" => Ok(mutations::try_all().into()),
        "directories" => Ok(format!("{:?}", get_directories().into_iter().map(|(_, name)| name).collect::<Vec<_>>()).into()),
        "known-folders" => Ok(honest::last_known().to_string().into()),
        "pruned" => Ok(honest::pruned().into()),
        "count" => {
            thread_local!(static CALLS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
            CALLS.set(CALLS.get() + 1);
            Ok(CALLS.get().to_string().into())
        }
        _ => match name.split_once(':') {
            Some(("read", path)) => Ok(read(path).into()),
            Some(("link", target)) => Ok(link(target).into()),
            Some(("connect", port)) => {
                Ok(format!("{:?}", std::net::TcpStream::connect(format!("127.0.0.1:{port}")).map_err(|error| error.kind())).into())
            }
            _ => Err(Error::Unsupported(format!("no misdeed {name}"))),
        },
    }
}

/// Every way to a socket.
fn sockets() -> String {
    let network = sockets::instance_network::instance_network();
    let family = sockets::network::IpAddressFamily::Ipv4;
    let tcp = sockets::tcp_create_socket::create_tcp_socket(family).map(drop);
    let udp = sockets::udp_create_socket::create_udp_socket(family).map(drop);
    let name = sockets::ip_name_lookup::resolve_addresses(&network, "localhost").map(drop);
    format!("{tcp:?} {udp:?} {name:?}")
}

fn open(directory: &Descriptor, path: &str, flags: OpenFlags) -> Result<Descriptor, wasip2::filesystem::types::ErrorCode> {
    let rights = if flags.is_empty() { DescriptorFlags::READ } else { DescriptorFlags::READ | DescriptorFlags::WRITE };
    directory.open_at(PathFlags::SYMLINK_FOLLOW, path, flags, rights)
}

/// Reads a file by a path relative to the granted directory, `~` standing for `/`.
fn read(path: &str) -> String {
    let path = path.replace('~', "/");
    let Some((root, _)) = get_directories().pop() else {
        return format!("no directory; by std: {:?}", std::fs::read_to_string(&path).map_err(|error| error.kind()));
    };
    match open(&root, &path, OpenFlags::empty()).and_then(|file| file.read(64, 0)) {
        Ok((bytes, _)) => format!("read: {}", String::from_utf8_lossy(&bytes)),
        Err(error) => format!("refused: {error:?}"),
    }
}

/// Makes a symbolic link to the path and reads through it.
fn link(target: &str) -> String {
    let target = target.replace('~', "/");
    let Some((root, _)) = get_directories().pop() else { return "no directory".to_owned() };
    let made = root.symlink_at(&target, "made-link");
    format!("made: {made:?}, {}", read("made-link"))
}
