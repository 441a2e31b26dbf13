//! The root that a script sees: system programs read-only, the given folders, a small `/tmp` in memory, five devices, and the `/proc` of its
//! own processes.

use crate::wire::Order;
use rustix::{
    fs::{CWD, symlinkat},
    mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
        mount_remount, unmount,
    },
    process::{chdir, pivot_root},
};
use std::{
    ffi::CString,
    fmt::Display,
    fs, io,
    path::{Component, Path, PathBuf},
};

/// Programs, their libraries, and what those read of `/etc`: no accounts' secrets, no keys, no configuration of services.
pub const SYSTEM: [&str; 15] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
];
/// Devices that do nothing but give or take bytes.
pub const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
/// Where the old root hangs while we take from it.
const OLD: &str = "/.old";
/// Any folder that is there on every machine and that we take nothing from; the new root is mounted over it for a moment.
const STAGE: &str = "/proc";

/// Why there is no such root.
pub enum Trouble {
    /// What was asked for cannot be.
    Order(String),
    /// The kernel refused.
    Kernel(String),
}

fn kernel(what: impl Display) -> impl FnOnce(rustix::io::Errno) -> Trouble {
    move |error| Trouble::Kernel(format!("{what}: {error}"))
}

/// Builds it and moves in. We must be in a mount namespace of our own.
pub fn build(order: &Order, with_proc: bool, remarks: &mut Vec<String>) -> Result<(), Trouble> {
    // While the old root still is the root, so that links in the paths lead where they say.
    let given =
        order.read.iter().map(|path| (path, false)).chain(order.write.iter().map(|path| (path, true)));
    let given: Vec<(&PathBuf, PathBuf, bool)> =
        given.map(|(path, write)| Ok((path, real(path)?, write))).collect::<Result<_, Trouble>>()?;

    // Nothing that we mount is seen outside, and nothing mounted outside later is seen here.
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .map_err(kernel("make mounts private"))?;
    let options = CString::new("size=1m,mode=755").unwrap_or_default();
    mount("sandbox", STAGE, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, options.as_c_str())
        .map_err(kernel("mount the new root"))?;
    let below = |path: &str| format!("{STAGE}{path}");
    make_folder(below(OLD))?;
    pivot_root(STAGE, below(OLD)).map_err(kernel("pivot_root"))?;
    chdir("/").map_err(kernel("chdir"))?;

    for path in SYSTEM {
        system(path)?;
    }
    for path in DEVICES {
        bind(Path::new(path), Path::new(path))?;
    }
    for (name, to) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        symlinkat(to, CWD, name).map_err(kernel(name))?;
    }
    make_folder("/tmp")?;
    let options =
        CString::new(format!("size={},nr_inodes=10k,mode=1777", order.limits.scratch)).unwrap_or_default();
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("scratch", "/tmp", "tmpfs", quiet, options.as_c_str()).map_err(kernel("mount /tmp"))?;
    for (path, real, _) in &given {
        bind(real, path)?;
    }
    let writable: Vec<&Path> =
        given.iter().filter(|(.., write)| *write).map(|(path, ..)| path.as_path()).collect();
    shut(&writable)?;

    make_folder("/proc")?;
    if with_proc && let Err(error) = mount("proc", "/proc", "proc", quiet | MountFlags::RDONLY, None) {
        // Containers hide parts of their own /proc, and then the kernel gives nobody inside a whole one. The old one would show
        // processes outside, so there is none.
        remarks.push(format!("without /proc: the kernel refused to mount it ({error})"));
    }
    unmount(OLD, UnmountFlags::DETACH).map_err(kernel("let go of the old root"))?;
    fs::remove_dir(OLD).map_err(|error| Trouble::Kernel(format!("remove {OLD}: {error}")))?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_remount("/", flags, "").map_err(kernel("make the root read-only"))
}

/// Where a given path really is. It must be absolute, be there, and not replace what is ours.
fn real(path: &Path) -> Result<PathBuf, Trouble> {
    let plain = path.is_absolute()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let ours =
        ["/proc", "/dev", "/tmp", OLD].iter().any(|own| path == Path::new(own) || path == Path::new("/"));
    if !plain || ours {
        return Err(Trouble::Order(format!(
            "{} cannot be given to a script: say an absolute path of a folder or file, not all of /, /dev, /proc or /tmp",
            path.display()
        )));
    }
    path.canonicalize().map_err(|error| {
        Trouble::Order(format!("{}: {error} (as the user the script runs as)", path.display()))
    })
}

/// One of our own list: not every machine has all, and some are links.
fn system(path: &str) -> Result<(), Trouble> {
    let old = PathBuf::from(format!("{OLD}{path}"));
    match fs::symlink_metadata(&old) {
        Ok(there) if there.is_symlink() => {
            let to = fs::read_link(&old).map_err(|error| Trouble::Kernel(format!("{path}: {error}")))?;
            make_parent(Path::new(path))?;
            symlinkat(&to, CWD, path).map_err(kernel(path))
        }
        Ok(_) => bind(Path::new(path), Path::new(path)),
        Err(_) => Ok(()),
    }
}

/// Shows what is at `from` in the old root at `to`, with everything mounted below it.
fn bind(from: &Path, to: &Path) -> Result<(), Trouble> {
    let old = PathBuf::from(format!("{OLD}{}", from.display()));
    let named = |error: io::Error| Trouble::Order(format!("{}: {error}", to.display()));
    if !to.exists() {
        make_parent(to)?;
        if fs::metadata(&old).map_err(named)?.is_dir() {
            fs::create_dir(to).map_err(named)?;
        } else {
            fs::File::create(to).map_err(named)?;
        }
    }
    mount_bind_recursive(&old, to).map_err(kernel(format!("show {}", to.display())))
}

/// Makes every mount of the new root read-only, but those at and below the given paths. One by one, because flags do not go down with a
/// bind, and with the flags each has, because the kernel refuses to take one away.
fn shut(writable: &[&Path]) -> Result<(), Trouble> {
    let mounts = fs::read_to_string(format!("{OLD}/proc/self/mountinfo"))
        .map_err(|error| Trouble::Kernel(format!("list mounts: {error}")))?;
    for (at, flags) in mounts.lines().filter_map(mounted) {
        let (path, is_device) = (Path::new(&at), DEVICES.contains(&at.as_str()));
        if at == "/" || at == "/tmp" || path.starts_with(OLD) {
            continue;
        }
        let mut flags = flags | MountFlags::BIND | MountFlags::NOSUID;
        if !is_device {
            flags |= MountFlags::NODEV;
        }
        if !writable.iter().any(|given| path.starts_with(given)) {
            flags |= MountFlags::RDONLY;
        }
        mount_remount(path, flags, "").map_err(kernel(format!("make {at} read-only")))?;
    }
    Ok(())
}

/// The place and the flags of one line of `mountinfo`: `36 35 98:0 /root /place rw,noatime ...`.
fn mounted(line: &str) -> Option<(String, MountFlags)> {
    let mut fields = line.split(' ').skip(4);
    let place = unescape(fields.next()?);
    let flags = fields.next()?.split(',').fold(MountFlags::empty(), |flags, word| {
        flags
            | match word {
                "ro" => MountFlags::RDONLY,
                "nosuid" => MountFlags::NOSUID,
                "nodev" => MountFlags::NODEV,
                "noexec" => MountFlags::NOEXEC,
                "noatime" => MountFlags::NOATIME,
                "nodiratime" => MountFlags::NODIRATIME,
                "relatime" => MountFlags::RELATIME,
                _ => MountFlags::empty(),
            }
    });
    Some((place, flags))
}

/// `mountinfo` writes blanks and backslashes as three octal digits.
fn unescape(place: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(place.to_owned(), |place, (code, plain)| place.replace(code, plain))
}

fn make_parent(path: &Path) -> Result<(), Trouble> {
    path.parent().map_or(Ok(()), make_folder)
}

fn make_folder(path: impl AsRef<Path>) -> Result<(), Trouble> {
    let path = path.as_ref();
    fs::create_dir_all(path).map_err(|error| Trouble::Kernel(format!("make {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_with_its_place_and_flags() {
        let line = r"36 35 98:0 /root /var/log/my\040app rw,nosuid,relatime shared:1 - ext4 /dev/vda rw";
        let (place, flags) = mounted(line).expect("a mount");
        assert_eq!(place, "/var/log/my app");
        assert_eq!(flags, MountFlags::NOSUID | MountFlags::RELATIME);
    }
}
