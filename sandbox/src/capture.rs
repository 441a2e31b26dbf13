//! Reads what a script prints, up to the cap.

use crate::{limits::Limits, outcome::Printed};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Reads to the end or to the cap; the stream is closed with the return. What was read is in `printed` also when nobody waits any longer.
pub async fn capture(stream: Option<impl AsyncRead + Unpin>, limits: &Limits, printed: &mut Printed) {
    let Some(mut stream) = stream else { return };
    let (mut buffer, mut lines) = ([0; 8192], 0);
    // A stream that cannot be read any more is at its end.
    while let Ok(some @ 1..) = stream.read(&mut buffer).await {
        let room = limits.output_bytes - printed.bytes.len();
        let kept = fitting(&buffer[..some], room, limits.output_lines, &mut lines);
        printed.bytes.extend_from_slice(kept);
        if kept.len() < some {
            printed.cut = true;
            return;
        }
    }
}

/// The beginning of these bytes that fits into the bytes and lines that are left.
fn fitting<'a>(bytes: &'a [u8], room: usize, most_lines: usize, lines: &mut usize) -> &'a [u8] {
    for (at, byte) in bytes.iter().enumerate() {
        if at == room || *lines == most_lines {
            return &bytes[..at];
        }
        *lines += usize::from(*byte == b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn kept(text: &str, output_bytes: usize, output_lines: usize) -> (String, bool) {
        let limits = Limits { output_bytes, output_lines, ..Limits::default() };
        let mut printed = Printed::default();
        capture(Some(text.as_bytes()), &limits, &mut printed).await;
        (printed.text(), printed.cut)
    }

    #[tokio::test]
    async fn output_is_kept_up_to_the_cap_and_not_called_cut_at_it() {
        assert_eq!(kept("a\nb\n", 4, 2).await, ("a\nb\n".into(), false));
        assert_eq!(kept("a\nb\nc", 4, 9).await, ("a\nb\n".into(), true));
        assert_eq!(kept("a\nb\nc", 9, 2).await, ("a\nb\n".into(), true));
        assert_eq!(kept("", 4, 2).await, (String::new(), false));
    }
}
