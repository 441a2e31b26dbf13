//! Reaching other processes, here or over a network.

use crate::stage::{perl, sh, whole, without};
use sandbox::{Ended, Layer};
use std::{
    io::Read,
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    process::{Child, Command},
};

/// What holds signals back. Landlock and the user alone would.
const SIGNAL_WALLS: [Layer; 5] = [
    Layer::UnprivilegedUser,
    Layer::UserNamespace,
    Layer::PidNamespace,
    Layer::Landlock,
    Layer::Capabilities,
];

#[tokio::test]
async fn not_even_loopback_is_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let code = format!(
        "use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0) or die \"socket: $!\"; \
         connect($s, sockaddr_in({port}, inet_aton('127.0.0.1'))) or die \"connect: $!\"; print 'reached'"
    );
    let said = async |left_out: &[Layer]| {
        let ran = perl(&without(left_out), &code).await;
        ran.stdout.text() + &ran.stderr.text()
    };
    assert!(said(&[]).await.starts_with("socket: "));
    assert!(said(&[Layer::Seccomp, Layer::Landlock]).await.starts_with("connect: Network is unreachable"));
    assert!(said(&[Layer::Seccomp, Layer::NetworkNamespace]).await.starts_with("connect: Permission denied"));
    assert_eq!(said(&[Layer::Seccomp, Layer::NetworkNamespace, Layer::Landlock]).await, "reached");
}

#[tokio::test]
async fn a_socket_without_a_file_is_not_reached_either() {
    let name = format!("petrel-sandbox-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = UnixListener::bind_addr(&address).expect("a socket");
    let code = format!(
        "use Socket; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; connect($s, pack('S a*', 1, \"\\0{name}\")) or die \"$!\"; print 'reached'"
    );
    let said = async |left_out: &[Layer]| perl(&without(left_out), &code).await.stdout.text();
    assert_eq!(said(&[]).await, "");
    assert_eq!(said(&[Layer::NetworkNamespace]).await, "", "landlock stops it too");
    assert_eq!(said(&[Layer::NetworkNamespace, Layer::Landlock]).await, "reached");
}

#[tokio::test]
async fn processes_outside_get_no_signals() {
    for kept in [None, Some(Layer::PidNamespace), Some(Layer::Landlock)] {
        let mut victim = Victim::start();
        let left_out: Vec<Layer> =
            SIGNAL_WALLS.into_iter().filter(|layer| kept.is_some() && Some(*layer) != kept).collect();
        let ran = sh(&without(&left_out), &format!("kill -9 {}", victim.0.id())).await;
        assert_ne!(ran.ended, Ended::Exited(0), "{kept:?}");
        assert!(victim.lives(), "{kept:?}");
    }
    let mut victim = Victim::start();
    assert_eq!(
        sh(&without(&SIGNAL_WALLS), &format!("kill -9 {}", victim.0.id())).await.ended,
        Ended::Exited(0)
    );
    assert!(!victim.0.wait().expect("its end").success());
}

#[tokio::test]
async fn processes_outside_are_not_even_seen() {
    let count = "ls -d /proc/[0-9]* | wc -l";
    let seen = sh(&whole(), count).await.stdout.text();
    // Process 1 is ours; then the shell and the two it starts.
    assert!(seen.trim().parse::<u32>().expect("a number") <= 4, "{seen}");
}

/// Somebody outside.
struct Victim(Child);

impl Victim {
    fn start() -> Self {
        let mut child = Command::new("sh")
            .args(["-c", "echo; exec sleep 60"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a victim");
        let mut line = [0];
        child.stdout.take().expect("its output").read_exact(&mut line).expect("it lives");
        Self(child)
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().expect("its state").is_none()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
