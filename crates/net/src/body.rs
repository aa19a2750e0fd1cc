//! Request bodies, bounded on the wire and again after decompression.
//!
//! The order matters: with a limit behind the decompressor alone, 200 KB would become 200 MB in
//! memory first.

use std::io::{self, Read};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use tokio::time::Instant;

/// Why a body was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than allowed, as received or decompressed.
    TooLarge,
    /// It comes too slowly, or stopped coming.
    TooSlow,
    /// It ended early, or is not what its encoding says.
    Broken,
    /// It has an encoding, or several, that we do not take.
    Encoding,
}

/// The rate that a sender must keep up after [`RATE_GRACE`].
const RATE_BYTES_PER_S_MIN: u64 = 1024;
const RATE_GRACE: Duration = Duration::from_secs(10);
/// The longest pause between two pieces.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Largest zstd window: 8 MiB, what `zstd -19` uses. The window is memory the sender makes us hold.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Reads a body of at most `bytes_max` bytes.
pub async fn read<B>(mut body: B, bytes_max: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge);
    }
    let announced = usize::try_from(body.size_hint().lower()).map_err(|_| BodyError::TooLarge)?;
    let began = Instant::now();
    let mut whole = Vec::new();
    let mut first: Option<Bytes> = None;
    loop {
        let frame = tokio::time::timeout(SILENCE_MAX, body.frame())
            .await
            .map_err(|_| BodyError::TooSlow)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        let len = whole.len() + first.as_ref().map_or(0, Bytes::len) + data.len();
        if len > bytes_max {
            return Err(BodyError::TooLarge);
        }
        let elapsed = began.elapsed();
        if elapsed > RATE_GRACE && (len as u64) < elapsed.as_secs() * RATE_BYTES_PER_S_MIN {
            return Err(BodyError::TooSlow);
        }
        // Most bodies come in one piece, which is then not copied.
        match first.take() {
            None if whole.is_empty() => first = Some(data),
            earlier => {
                if whole.is_empty() {
                    // What the sender announced, so that a long body is not copied again and again
                    // as it grows.
                    whole.reserve(announced);
                }
                whole.extend_from_slice(&earlier.unwrap_or_default());
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.into()))
}

/// Undoes the body's one content encoding: none, gzip, deflate or zstd. The result has at most
/// `bytes_max` bytes.
pub fn decompress(headers: &HeaderMap, body: Bytes, bytes_max: usize) -> Result<Bytes, BodyError> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    let encoding = match (encodings.next(), encodings.next()) {
        (None, _) => {
            return if body.len() > bytes_max { Err(BodyError::TooLarge) } else { Ok(body) };
        }
        (Some(encoding), None) => {
            encoding.to_str().map_err(|_| BodyError::Encoding)?.trim().to_ascii_lowercase()
        }
        _ => return Err(BodyError::Encoding),
    };
    match encoding.as_str() {
        "identity" | "" => {
            if body.len() > bytes_max {
                Err(BodyError::TooLarge)
            } else {
                Ok(body)
            }
        }
        "gzip" | "x-gzip" => read_bounded(flate2::read::MultiGzDecoder::new(&*body), bytes_max),
        // RFC 9110 section 8.4.1.2: with the frame of zlib.
        "deflate" => read_bounded(flate2::read::ZlibDecoder::new(&*body), bytes_max),
        "zstd" => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(&*body).map_err(|_| BodyError::Broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| BodyError::Broken)?;
            read_bounded(decoder, bytes_max)
        }
        _ => Err(BodyError::Encoding),
    }
}

fn read_bounded(decoder: impl Read, bytes_max: usize) -> Result<Bytes, BodyError> {
    let mut out = Vec::new();
    let read: io::Result<usize> = decoder.take(bytes_max as u64 + 1).read_to_end(&mut out);
    match read {
        Ok(len) if len > bytes_max => Err(BodyError::TooLarge),
        Ok(_) => Ok(out.into()),
        Err(_) => Err(BodyError::Broken),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use hyper::header::HeaderValue;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn decompressed(encodings: &[&'static str], body: &[u8]) -> Result<Bytes, BodyError> {
        let mut headers = HeaderMap::new();
        for encoding in encodings {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        decompress(&headers, Bytes::copy_from_slice(body), 4 << 20)
    }

    #[test]
    fn one_encoding_is_undone() {
        let text = b"hello hello hello";
        assert_eq!(decompressed(&[], text).as_deref(), Ok(&text[..]));
        assert_eq!(decompressed(&["identity"], text).as_deref(), Ok(&text[..]));
        assert_eq!(decompressed(&["GZIP"], &gzip(text)).as_deref(), Ok(&text[..]));
        assert_eq!(decompressed(&["deflate"], &deflate(text)).as_deref(), Ok(&text[..]));
        assert_eq!(
            decompressed(&["zstd"], &zstd::encode_all(&text[..], 3).expect("memory")).as_deref(),
            Ok(&text[..])
        );
    }

    #[test]
    fn bombs_stop_at_the_limit() {
        let zeros = vec![0; 16 << 20];
        assert_eq!(decompressed(&["gzip"], &gzip(&zeros)), Err(BodyError::TooLarge));
        assert_eq!(decompressed(&["deflate"], &deflate(&zeros)), Err(BodyError::TooLarge));
        assert_eq!(
            decompressed(&["zstd"], &zstd::encode_all(&zeros[..], 3).expect("memory")),
            Err(BodyError::TooLarge)
        );
        // Within the limit, though a thousand times what was sent: equal records compress well.
        for len in [1 << 20, 3 << 20] {
            let body = decompressed(&["gzip"], &gzip(&zeros[..len]));
            assert_eq!(body.map(|body| body.len()), Ok(len));
        }
    }

    #[test]
    fn broken_and_unknown_encodings_are_refused() {
        let whole = gzip(b"hello hello hello");
        let mut wrong_crc = whole.clone();
        let at = whole.len() - 6;
        wrong_crc[at] ^= 1;
        assert_eq!(decompressed(&["gzip"], &whole[..whole.len() - 3]), Err(BodyError::Broken));
        assert_eq!(decompressed(&["gzip"], &wrong_crc), Err(BodyError::Broken));
        assert_eq!(decompressed(&["gzip"], b"plain"), Err(BodyError::Broken));
        assert_eq!(decompressed(&["deflate"], b"plain"), Err(BodyError::Broken));
        for encodings in [&["zzz"][..], &["gzip, gzip"], &["gzip", "gzip"], &["br"]] {
            assert_eq!(decompressed(encodings, &whole), Err(BodyError::Encoding), "{encodings:?}");
        }
        // A frame that asks for a window of 2^31 bytes: magic, descriptor, window descriptor.
        let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
        assert_eq!(decompressed(&["zstd"], &wide), Err(BodyError::Broken));
    }
}
