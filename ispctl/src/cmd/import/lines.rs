//! Which line of the file a record is on.
//!
//! The parser's own line numbers are those of a text editor only where every line ends in a bare line feed and none is
//! empty. So the bytes are watched on their way to it.

use std::collections::VecDeque;
use std::io::{self, Read};

use csv::ByteRecord;

/// Passes bytes on and remembers where their lines end.
pub(super) struct Lines<R> {
    source: R,
    read: u64,
    /// Offsets of line feeds that no record has reached yet.
    feeds: VecDeque<u64>,
    passed: u64,
}

impl<R> Lines<R> {
    pub(super) const fn new(source: R) -> Self {
        Self {
            source,
            read: 0,
            feeds: VecDeque::new(),
            passed: 0,
        }
    }

    /// The line on which `record` starts, counted from 1. `end` is the offset just after it; records come in order.
    pub(super) fn start_of(&mut self, record: &ByteRecord, end: u64) -> u64 {
        // The last byte before `end` is of the record or what ends it: a line feed there is not inside it.
        while self.feeds.front().is_some_and(|&feed| feed + 1 < end) {
            self.feeds.pop_front();
            self.passed += 1;
        }
        let inside: usize = record
            .iter()
            .map(|cell| cell.iter().filter(|&&b| b == b'\n').count())
            .sum();
        (self.passed + 1).saturating_sub(inside as u64)
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        for (at, byte) in (self.read..).zip(buffer.iter().take(read)) {
            if *byte == b'\n' {
                self.feeds.push_back(at);
            }
        }
        self.read += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn starts(text: &str) -> Vec<(String, u64)> {
        let mut csv = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(4)
            .from_reader(Lines::new(text.as_bytes()));
        let mut record = ByteRecord::new();
        let mut starts = Vec::new();
        while csv.read_byte_record(&mut record).unwrap() {
            let end = csv.position().byte();
            let first = String::from_utf8(record.get(0).unwrap().to_vec()).unwrap();
            starts.push((first, csv.get_mut().start_of(&record, end)));
        }
        starts
    }

    #[test]
    fn lines_are_those_of_an_editor() {
        let text = "h,i\na,1\n\n\nb,2\n\"x\ny\",\"\n\"\nc,3\n\n\"q\n\"\nd,4";
        let expected = [
            ("h", 1),
            ("a", 2),
            ("b", 5),
            ("x\ny", 6),
            ("c", 9),
            ("q\n", 11),
            ("d", 13),
        ];
        let with_bom = format!("\u{feff}{text}");
        for (text, feed) in [
            (text.to_owned(), "\n"),
            (text.replace('\n', "\r\n"), "\r\n"),
            (format!("{text}\n"), "\n"),
            (with_bom, "\n"),
        ] {
            let expected: Vec<(String, u64)> = expected
                .iter()
                .map(|&(first, line)| (first.replace('\n', feed), line))
                .collect();
            assert_eq!(starts(&text), expected, "{text:?}");
        }
    }
}
