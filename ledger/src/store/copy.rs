//! Postgres's binary COPY format, parsed by hand: verification reads every row there is, and decoding rows one by one
//! through the driver is several times slower.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format": an 11-byte signature, flags and a header
//! extension, then per row a 16-bit count of columns and per column a 32-bit length (-1: null) and the bytes; a count
//! of -1 ends it.

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// What was received and not yet parsed: messages need not end where rows end.
#[derive(Default)]
pub(crate) struct CopyReader {
    rest: Vec<u8>,
    begun: bool,
    ended: bool,
}

/// The stream is not what the format says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotACopy;

impl CopyReader {
    /// Takes in one message, and hands each row that is whole now to `row`.
    pub fn read(
        &mut self,
        message: &[u8],
        mut row: impl FnMut(&[Option<&[u8]>]) -> Result<(), NotACopy>,
    ) -> Result<(), NotACopy> {
        let carried = std::mem::take(&mut self.rest);
        let joined;
        // The usual case copies nothing: the server sends whole rows.
        let mut bytes = if carried.is_empty() {
            message
        } else {
            joined = [&carried, message].concat();
            &joined
        };
        if !self.begun {
            match header(bytes)? {
                Some(rest) => bytes = rest,
                None => {
                    self.rest = bytes.to_vec();
                    return Ok(());
                }
            }
            self.begun = true;
        }
        let mut columns = Vec::with_capacity(8);
        while !bytes.is_empty() && !self.ended {
            columns.clear();
            match one_row(bytes, &mut columns)? {
                Parsed::Row(rest) => {
                    row(&columns)?;
                    bytes = rest;
                }
                Parsed::End => self.ended = true,
                Parsed::Partial => {
                    self.rest = bytes.to_vec();
                    break;
                }
            }
        }
        Ok(())
    }
}

fn header(bytes: &[u8]) -> Result<Option<&[u8]>, NotACopy> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(NotACopy);
    }
    let Some(after) = bytes.get(SIGNATURE.len() + 4..) else { return Ok(None) };
    let Some((length, after)) = after.split_first_chunk() else { return Ok(None) };
    let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| NotACopy)?;
    Ok(after.get(length..))
}

enum Parsed<'a> {
    Row(&'a [u8]),
    End,
    Partial,
}

fn one_row<'a>(bytes: &'a [u8], columns: &mut Vec<Option<&'a [u8]>>) -> Result<Parsed<'a>, NotACopy> {
    let Some((count, mut bytes)) = bytes.split_first_chunk() else { return Ok(Parsed::Partial) };
    let count = i16::from_be_bytes(*count);
    if count == -1 {
        return Ok(Parsed::End);
    }
    for _ in 0..count {
        let Some((length, after)) = bytes.split_first_chunk() else { return Ok(Parsed::Partial) };
        bytes = after;
        columns.push(match i32::from_be_bytes(*length) {
            -1 => None,
            length => {
                let length = usize::try_from(length).map_err(|_| NotACopy)?;
                let Some((value, after)) = bytes.split_at_checked(length) else { return Ok(Parsed::Partial) };
                bytes = after;
                Some(value)
            }
        });
    }
    Ok(Parsed::Row(bytes))
}

/// A one-dimensional `bigint[]` without nulls, in Postgres's binary format.
pub(crate) fn bigint_array(bytes: &[u8]) -> Option<Vec<i64>> {
    const HEADER: usize = 20;
    let dimensions = i32::from_be_bytes(*bytes.first_chunk()?);
    if dimensions == 0 {
        return Some(Vec::new());
    }
    let items = bytes.get(HEADER..).filter(|_| dimensions == 1)?;
    let (items, rest) = items.as_chunks::<12>();
    let item = |chunk: &[u8; 12]| {
        let (length, value) = chunk.split_first_chunk::<4>()?;
        (i32::from_be_bytes(*length) == 8).then(|| i64::from_be_bytes(value.try_into().unwrap_or_default()))
    };
    rest.is_empty().then(|| items.iter().map(item).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Rows = Vec<Vec<Option<Vec<u8>>>>;

    fn written(rows: &Rows) -> Vec<u8> {
        let mut out = [SIGNATURE, &[0; 8]].concat();
        for row in rows {
            out.extend((row.len() as i16).to_be_bytes());
            for column in row {
                match column {
                    None => out.extend((-1i32).to_be_bytes()),
                    Some(value) => {
                        out.extend((value.len() as i32).to_be_bytes());
                        out.extend(value);
                    }
                }
            }
        }
        out.extend((-1i16).to_be_bytes());
        out
    }

    fn read(messages: &[&[u8]]) -> Result<Rows, NotACopy> {
        let (mut reader, mut rows) = (CopyReader::default(), Rows::new());
        for message in messages {
            reader.read(message, |row| {
                rows.push(row.iter().map(|column| column.map(<[u8]>::to_vec)).collect());
                Ok(())
            })?;
        }
        Ok(rows)
    }

    proptest! {
        #[test]
        fn rows_come_out_whole_wherever_the_messages_are_cut(
            rows in prop::collection::vec(prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), 0..4), 0..5),
            size in 1..40usize,
        ) {
            let bytes = written(&rows);
            let messages: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(read(&messages), Ok(rows));
        }

        #[test]
        fn noise_is_refused_or_read_but_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&[&bytes]);
            let _ = read(&[SIGNATURE, &[0; 8], &bytes]);
            let _ = bigint_array(&bytes);
        }
    }

    #[test]
    fn an_array_of_ids_is_read() {
        let mut bytes = Vec::new();
        for part in [1, 0, 20, 2, 1, 8, 0, 7, 8, 0, 9] {
            bytes.extend(i32::to_be_bytes(part));
        }
        assert_eq!(bigint_array(&bytes), Some(vec![7, 9]));
    }
}
