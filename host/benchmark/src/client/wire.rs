//! Answers of HTTP/1.1 from a stream: their status, and their bodies counted or kept.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// The head of an answer must fit in here.
const BUFFER: usize = 32 << 10;
const HEADERS: usize = 100;
/// Whoever keeps a body keeps no more of it.
const LARGEST: usize = 16 << 20;

/// A connection, and what was read of it.
pub(super) struct Wire<S> {
    stream: S,
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
}

/// An answer.
pub(super) struct Received {
    pub status: u16,
    /// Bytes of its body.
    pub bytes: u64,
    /// Whether the connection takes another request.
    pub open: bool,
}

/// How the end of a body is known.
enum Length {
    Exactly(u64),
    Chunks,
    Closing,
}

struct Head {
    length: usize,
    status: u16,
    body: Length,
    open: bool,
}

type Sink<'a> = Option<&'a mut Zeroizing<Vec<u8>>>;

fn wrong(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: Zeroizing::new(vec![0; BUFFER]), start: 0, end: 0 }
    }

    /// Whether the server has ended the connection, or said something that nobody asked for. Waits for nothing.
    pub(super) fn is_stale(&mut self) -> bool {
        use futures_util::FutureExt as _;
        self.start != self.end || self.stream.read(&mut [0; 1]).now_or_never().is_some()
    }

    /// Sends a request, and reads the answer to its end.
    pub(super) async fn exchange(&mut self, request: &[u8], mut keep: Sink<'_>) -> io::Result<Received> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let head = loop {
            let head = self.head().await?;
            self.start += head.length;
            // What an answer has before itself: 100 Continue, 103 Early Hints.
            if head.status >= 200 {
                break head;
            }
        };
        let (bytes, open) = match head.body {
            Length::Exactly(bytes) => {
                self.take(bytes, &mut keep).await?;
                (bytes, head.open)
            }
            Length::Chunks => (self.chunks(&mut keep).await?, head.open),
            Length::Closing => (self.rest(&mut keep).await?, false),
        };
        Ok(Received { status: head.status, bytes, open })
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads more; false at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            if self.start == 0 {
                return Err(wrong("the head of the answer is larger than 32 KiB"));
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let read = self.stream.read(self.buffer.get_mut(self.end..).unwrap_or_default()).await?;
        self.end += read;
        Ok(read > 0)
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.fill().await? { Ok(()) } else { Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")) }
    }

    async fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some(head) = head(self.unread())? {
                return Ok(head);
            }
            self.more().await?;
        }
    }

    /// So many bytes of the body.
    async fn take(&mut self, mut bytes: u64, keep: &mut Sink<'_>) -> io::Result<()> {
        while bytes > 0 {
            if self.start == self.end {
                self.more().await?;
            }
            let here = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.end - self.start);
            self.consume(here, keep)?;
            bytes -= u64::try_from(here).unwrap_or(bytes);
        }
        Ok(())
    }

    fn consume(&mut self, here: usize, keep: &mut Sink<'_>) -> io::Result<()> {
        if let Some(kept) = keep {
            if kept.len() + here > LARGEST {
                return Err(wrong("the answer is larger than 16 MiB"));
            }
            kept.extend_from_slice(self.buffer.get(self.start..self.start + here).unwrap_or_default());
        }
        self.start += here;
        Ok(())
    }

    async fn rest(&mut self, keep: &mut Sink<'_>) -> io::Result<u64> {
        let mut bytes = 0;
        loop {
            let here = self.end - self.start;
            self.consume(here, keep)?;
            bytes += u64::try_from(here).unwrap_or(0);
            if !self.fill().await? {
                return Ok(bytes);
            }
        }
    }

    async fn chunks(&mut self, keep: &mut Sink<'_>) -> io::Result<u64> {
        let mut bytes = 0_u64;
        loop {
            let size = loop {
                match httparse::parse_chunk_size(self.unread()).map_err(|_| wrong("the answer has a chunk without a size"))? {
                    httparse::Status::Complete((length, size)) => {
                        self.start += length;
                        break size;
                    }
                    httparse::Status::Partial => self.more().await?,
                }
            };
            if size == 0 {
                self.trailer().await?;
                return Ok(bytes);
            }
            self.take(size, keep).await?;
            bytes = bytes.saturating_add(size);
            let mut end = Zeroizing::new(Vec::with_capacity(2));
            self.take(2, &mut Some(&mut end)).await?;
            if end.as_slice() != b"\r\n" {
                return Err(wrong("the answer has a chunk without an end"));
            }
        }
    }

    /// The lines after the last chunk, up to an empty one.
    async fn trailer(&mut self) -> io::Result<()> {
        loop {
            let length = {
                let mut headers = [httparse::EMPTY_HEADER; HEADERS];
                match httparse::parse_headers(self.unread(), &mut headers) {
                    Ok(httparse::Status::Complete((length, _))) => Some(length),
                    Ok(httparse::Status::Partial) => None,
                    Err(_) => return Err(wrong("the answer has a trailer that is not HTTP")),
                }
            };
            if let Some(length) = length {
                self.start += length;
                return Ok(());
            }
            self.more().await?;
        }
    }
}

/// The head that begins here, once it is there as a whole.
fn head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let length =
        match parsed.parse(bytes).map_err(|_| wrong("the answer is not HTTP: is this the address of a Vault-compatible server?"))? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => return Ok(None),
        };
    let status = parsed.code.unwrap_or_default();
    let mut open = parsed.version == Some(1);
    let mut body = Length::Closing;
    for header in parsed.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            if !matches!(body, Length::Chunks) {
                let text = std::str::from_utf8(header.value).unwrap_or_default().trim();
                body = Length::Exactly(text.parse().map_err(|_| wrong("the answer has a Content-Length that is no number"))?);
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            body = Length::Chunks;
        } else if header.name.eq_ignore_ascii_case("connection") {
            open = !header.value.to_ascii_lowercase().windows(5).any(|word| word == b"close") && open;
        }
    }
    if status == 204 || status == 304 || status < 200 {
        body = Length::Exactly(0);
    }
    Ok(Some(Head { length, status, body, open }))
}
