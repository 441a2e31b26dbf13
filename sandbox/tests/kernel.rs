//! Asking the kernel for more.

use crate::stage::{perl, sh, whole, without};
use sandbox::{Ended, Layer};
use std::fs;

#[tokio::test]
async fn a_process_cannot_be_traced() {
    // PTRACE_ATTACH to a child of its own: nothing else forbids that.
    let code = format!(
        "my $c = fork // die; unless ($c) {{ sleep 60; exit }} print syscall({}, 16, $c, 0, 0); kill 9, $c",
        libc::SYS_ptrace
    );
    assert_eq!(perl(&whole(), &code).await.stdout.text(), "-1");
    assert_eq!(perl(&without(&[Layer::Seccomp]), &code).await.stdout.text(), "0");
}

#[tokio::test]
async fn memory_that_no_limit_counts_cannot_be_had() {
    let memfd = format!("my $n = 'x'; print syscall({}, $n, 0) < 0 ? 'no' : 'yes'", libc::SYS_memfd_create);
    let shared = format!("print syscall({}, 0, 1 << 30, 0600) < 0 ? 'no' : 'yes'", libc::SYS_shmget);
    for code in [memfd, shared] {
        assert_eq!(perl(&whole(), &code).await.stdout.text(), "no");
        assert_eq!(perl(&without(&[Layer::Seccomp]), &code).await.stdout.text(), "yes");
    }
}

#[tokio::test]
async fn nothing_is_mounted_not_even_in_namespaces_of_its_own() {
    assert_ne!(sh(&whole(), "mount -t tmpfs none /tmp").await.ended, Ended::Exited(0));
    // A user and a mount namespace, in which it would have every capability, and /usr shown at /tmp.
    let code = format!(
        "my ($from, $to) = ('/usr', '/tmp'); syscall({}, {}) == 0 or exit 1; exit(syscall({}, $from, $to, 0, 4096, 0) != 0)",
        libc::SYS_unshare,
        libc::CLONE_NEWUSER | libc::CLONE_NEWNS,
        libc::SYS_mount,
    );
    let nested = async |left_out: &[Layer]| perl(&without(left_out), &code).await.ended;
    assert_ne!(nested(&[]).await, Ended::Exited(0));
    assert_ne!(nested(&[Layer::Landlock]).await, Ended::Exited(0));
    assert_ne!(nested(&[Layer::Seccomp]).await, Ended::Exited(0));
    assert_eq!(nested(&[Layer::Seccomp, Layer::Landlock]).await, Ended::Exited(0));
}

#[tokio::test]
async fn every_namespace_is_a_new_one() {
    let namespaces = [
        (Layer::UserNamespace, "user"),
        (Layer::MountNamespace, "mnt"),
        (Layer::PidNamespace, "pid"),
        (Layer::NetworkNamespace, "net"),
        (Layer::IpcNamespace, "ipc"),
        (Layer::UtsNamespace, "uts"),
    ];
    for (layer, name) in namespaces {
        let link = format!("/proc/self/ns/{name}");
        let ours = fs::read_link(&link).expect("our namespace").display().to_string();
        let its = sh(&whole(), &format!("readlink {link}")).await.stdout.text();
        assert!(its.starts_with(name) && its.trim() != ours, "{layer}: {its}");
        // Without its own pid namespace there is no /proc to look into, and without a user namespace there are no others for a user.
        if !matches!(layer, Layer::PidNamespace | Layer::UserNamespace) {
            let shared = sh(&without(&[layer]), &format!("readlink {link}")).await.stdout.text();
            assert_eq!(shared.trim(), ours, "{layer}");
        }
    }
}

#[tokio::test]
async fn there_are_no_capabilities_no_new_privileges_and_a_filter() {
    let status = async |left_out: &[Layer]| {
        sh(&without(left_out), "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status").await.stdout.text()
    };
    let none = "0000000000000000";
    let all = status(&[]).await;
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(all.contains(&format!("{name}:\t{none}")), "{all}");
    }
    assert!(all.contains("NoNewPrivs:\t1") && all.contains("Seccomp:\t2"), "{all}");
    assert!(!status(&[Layer::Capabilities]).await.contains(&format!("CapEff:\t{none}")));
    // Landlock and the filter insist on it themselves.
    assert!(
        status(&[Layer::NoNewPrivileges, Layer::Landlock, Layer::Seccomp]).await.contains("NoNewPrivs:\t0")
    );
}

#[tokio::test]
async fn the_user_is_not_root() {
    let ran = sh(&whole(), "id -u").await;
    assert_ne!(ran.stdout.text().trim(), "0");
    if rustix::process::geteuid().is_root() {
        assert_eq!(ran.stdout.text().trim(), "65533");
        assert_eq!(sh(&without(&[Layer::UnprivilegedUser]), "id -u").await.stdout.text().trim(), "0");
    }
}
