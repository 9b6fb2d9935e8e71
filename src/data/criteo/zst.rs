//! Zstandard to bytes.

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::io::{self, BufRead, Read};

/// The frames of a .zst, one after the other, as bytes.
pub(in crate::data) struct Frames<R: BufRead> {
    /// Between two frames.
    input: Option<R>,
    frame: Option<StreamingDecoder<R, FrameDecoder>>,
}

impl<R: BufRead> Frames<R> {
    pub fn new(input: R) -> Self {
        Frames { input: Some(input), frame: None }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(mut input) = self.input.take() {
                if input.fill_buf()?.is_empty() {
                    self.input = Some(input);
                    return Ok(0);
                }
                self.frame = Some(StreamingDecoder::new(input).map_err(invalid)?);
            }
            // None after an error: there is nothing to go on with.
            let Some(frame) = &mut self.frame else { return Ok(0) };
            let n = frame.read(into).map_err(invalid)?;
            if n > 0 || into.is_empty() {
                return Ok(n);
            }
            self.input = self.frame.take().map(StreamingDecoder::into_inner);
        }
    }
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
