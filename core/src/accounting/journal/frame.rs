//! One record on disk: marker, length, CRC-32, sequence number, time, payload.
//!
//! Integers are little-endian. The checksum covers all that follows it and the length. Sequence numbers have no gaps, so
//! that a record which is missing is noticed.

/// Begins every frame; a reader that lost its way looks for it.
pub(super) const MARKER: [u8; 4] = [0xA7, b'A', b'c', 0x1E];
const LENGTH_AT: usize = 4;
const CRC_AT: usize = 8;
const SEQUENCE_AT: usize = 12;
const TIME_AT: usize = 20;
pub(super) const HEADER: usize = 28;
/// A RADIUS packet has 4096 octets at most (RFC 2865 section 3); a length past this is damage.
pub(super) const MOST_PAYLOAD: usize = 1 << 16;

/// A frame whose checksum holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) sequence: u64,
    /// When it was appended, Unix seconds.
    pub(super) time: i64,
    pub(super) payload: &'a [u8],
}

impl Frame<'_> {
    pub(super) const fn len(&self) -> usize {
        HEADER + self.payload.len()
    }
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look<'a> {
    Frame(Frame<'a>),
    /// It may be a frame: this many bytes are needed to tell.
    Short(usize),
    Bad,
}

/// Append a frame that still lacks its sequence number and checksum. The payload is no longer than [`MOST_PAYLOAD`].
pub(super) fn push(buffer: &mut Vec<u8>, payload: &[u8], time: i64) {
    buffer.extend_from_slice(&MARKER);
    buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&[0; TIME_AT - CRC_AT]);
    buffer.extend_from_slice(&time.to_le_bytes());
    buffer.extend_from_slice(payload);
}

/// Number and sign the frames of a buffer that [`push`] made.
pub(super) fn seal(buffer: &mut [u8], first: u64) {
    let mut rest = buffer;
    let mut sequence = first;
    while let Some(length) = field::<4>(rest, LENGTH_AT).map(u32::from_le_bytes) {
        let Some((frame, after)) = rest.split_at_mut_checked(HEADER + length as usize) else {
            break;
        };
        frame[SEQUENCE_AT..TIME_AT].copy_from_slice(&sequence.to_le_bytes());
        let crc = checksum(frame);
        frame[CRC_AT..SEQUENCE_AT].copy_from_slice(&crc.to_le_bytes());
        sequence += 1;
        rest = after;
    }
}

/// What the bytes begin with.
pub(super) fn look(bytes: &[u8]) -> Look<'_> {
    let known = bytes.len().min(MARKER.len());
    if bytes[..known] != MARKER[..known] {
        return Look::Bad;
    }
    let (Some(length), Some(crc), Some(sequence), Some(time)) = (
        field::<4>(bytes, LENGTH_AT).map(|length| u32::from_le_bytes(length) as usize),
        field::<4>(bytes, CRC_AT).map(u32::from_le_bytes),
        field::<8>(bytes, SEQUENCE_AT).map(u64::from_le_bytes),
        field::<8>(bytes, TIME_AT).map(i64::from_le_bytes),
    ) else {
        return Look::Short(HEADER);
    };
    if length > MOST_PAYLOAD {
        return Look::Bad;
    }
    match bytes.get(..HEADER + length) {
        None => Look::Short(HEADER + length),
        Some(frame) if checksum(frame) == crc => Look::Frame(Frame {
            sequence,
            time,
            payload: &frame[HEADER..],
        }),
        Some(_) => Look::Bad,
    }
}

fn checksum(frame: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&frame[LENGTH_AT..CRC_AT]);
    crc.update(&frame[SEQUENCE_AT..]);
    crc.finalize()
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;

    #[test]
    fn frames_are_numbered_and_read_back() {
        let mut buffer = Vec::new();
        for payload in [&b"one"[..], b"", b"three"] {
            push(&mut buffer, payload, 1_700_000_000);
        }
        seal(&mut buffer, 7);
        let mut rest = &buffer[..];
        for (sequence, payload) in [(7, &b"one"[..]), (8, b""), (9, b"three")] {
            let Look::Frame(frame) = look(rest) else {
                panic!("no frame {sequence}")
            };
            assert_eq!(
                (frame.sequence, frame.payload, frame.time),
                (sequence, payload, 1_700_000_000)
            );
            rest = &rest[frame.len()..];
        }
        assert_eq!(look(rest), Look::Short(HEADER));
    }

    #[test]
    fn a_frame_is_none_until_it_is_whole_nor_with_any_bit_changed() {
        let mut frame = Vec::new();
        push(&mut frame, b"payload", 5);
        seal(&mut frame, 1);
        for cut in 0..frame.len() {
            assert!(matches!(look(&frame[..cut]), Look::Short(_)), "cut at {cut}");
        }
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(look(&flipped), Look::Frame(_)), "bit {bit}");
        }
    }
}
