//! Where a private server's files are, which binaries serve them, and which user owns them.

use super::{PrivateError, file};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// A unix socket's path has at most 107 bytes; the server's file name takes 15 of them.
const LONGEST_SOCKET_DIR: usize = 107 - "/.s.PGSQL.5432.lock".len();
/// Who the server runs as, when we are root.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The lock that says who may start and stop the server of this directory. The kernel frees it when its holder dies.
pub(super) fn open_lock(dir: &Path) -> Result<File, PrivateError> {
    fs::create_dir_all(dir).map_err(file("create", dir))?;
    let path = dir.join("lock");
    File::options().create(true).append(true).open(&path).map_err(file("open", &path))
}

/// Newest first; with `version`, only that major version.
pub(super) async fn installed(version: Option<&str>) -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    let asked = Command::new("pg_config").arg("--bindir").output().await.ok();
    let asked = asked.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    for bin in debian.chain(asked).chain(std::env::split_paths(&path)) {
        if !["postgres", "initdb", "pg_ctl"].iter().all(|program| bin.join(program).is_file()) {
            continue;
        }
        // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        let Ok(output) = Command::new(bin.join("postgres")).arg("--version").output().await else { continue };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let major = text
            .split_whitespace()
            .nth(2)
            .and_then(|number| number.split('.').next())
            .and_then(|n| n.parse().ok());
        if let Some(major) = major {
            found.push((major, bin));
        }
    }
    found.retain(|(major, _)| version.is_none_or(|version| version == major.to_string()));
    found.into_iter().max_by_key(|(major, _)| *major).map(|(_, bin)| bin)
}

/// Any other uid would do; this one has no home, no shell and no files.
pub(super) fn nobody() -> User {
    let line = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut ids = line
        .lines()
        .find(|line| line.starts_with("nobody:"))
        .into_iter()
        .flat_map(|line| line.split(':').skip(2).take(2))
        .filter_map(|id| id.parse().ok());
    User { uid: ids.next().unwrap_or(65534), gid: ids.next().unwrap_or(65534) }
}

/// Every folder on the way must let strangers pass. Where one does not (a checkout under /root), the files live in
/// /var/lib/petrel and `dir/database` points there.
pub(super) fn within_reach(dir: &Path) -> Result<PathBuf, PrivateError> {
    let mode = |path: &Path| fs::metadata(path).map(|meta| meta.mode()).map_err(file("look at", path));
    // What must be private is in folders of its own, which are closed.
    fs::set_permissions(dir, Permissions::from_mode((mode(dir)? & 0o777) | 0o011))
        .map_err(file("open", dir))?;
    for folder in dir.ancestors() {
        if mode(folder)? & 0o001 == 0 {
            let name = hex::encode(&Sha256::digest(dir.as_os_str().as_encoded_bytes())[..8]);
            let elsewhere = Path::new("/var/lib/petrel").join(name);
            fs::create_dir_all(&elsewhere).map_err(file("create", &elsewhere))?;
            let sign = dir.join("database");
            match std::os::unix::fs::symlink(&elsewhere, &sign) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(file("create", &sign)(error));
                }
                _ => return Ok(elsewhere),
            }
        }
    }
    Ok(dir.into())
}

/// A folder that only the server's user (and root) can enter.
pub(super) fn private_folder(path: &Path, user: Option<User>) -> Result<(), PrivateError> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(file("create", path)(error));
        }
        _ => {}
    }
    if let Some(User { uid, gid }) = user {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(file("give away", path))?;
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(file("close", path))
}

/// `dir/socket`, or where that is too long for a socket (or would need quoting), a short folder in the temp folder that
/// `dir/socket-dir` remembers.
pub(super) fn socket_dir(dir: &Path, user: Option<User>) -> Result<PathBuf, PrivateError> {
    let plain = |path: &Path| {
        let text = path.to_string_lossy();
        text.len() <= LONGEST_SOCKET_DIR
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
    };
    let near = dir.join("socket");
    if plain(&near) {
        private_folder(&near, user)?;
        return Ok(near);
    }
    let remembered = dir.join("socket-dir");
    let owner = user.map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.uid);
    if let Ok(text) = fs::read_to_string(&remembered) {
        let far = PathBuf::from(text);
        // The temp folder is everybody's: only a folder that is still ours will do.
        if fs::symlink_metadata(&far)
            .is_ok_and(|meta| meta.is_dir() && meta.uid() == owner && meta.mode() & 0o077 == 0)
        {
            return Ok(far);
        }
    }
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let far = std::env::temp_dir().join(format!("petrel-{}", &unique[..12]));
    fs::DirBuilder::new().mode(0o700).create(&far).map_err(file("create", &far))?;
    private_folder(&far, user)?;
    fs::write(&remembered, far.to_string_lossy().as_bytes()).map_err(file("write", &remembered))?;
    Ok(far)
}
