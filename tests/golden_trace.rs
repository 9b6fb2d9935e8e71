//! Traces against the public reference's generators: its own example, seed 123.

#![allow(clippy::excessive_precision, reason = "17 digits, as NumPy prints them")]

use dlrm::data::trace::{StackDistribution, TraceFormat, read_trace, trace_profile, write_trace};
use dlrm::{Error, Stream};

const TRACE: [u64; 11] = [1, 2, 3, 4, 5, 3, 4, 1, 1, 6, 3];

/// The file that the reference ships for this trace, rounded to two digits.
const ROUNDED: &str = "1, 2, 3, 4, 5, 6\n0, 1, 3, 4, 5\n0.55, 0.64, 0.82, 0.91, 1.0\n";

fn read(text: &str) -> Result<StackDistribution, Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    StackDistribution::read(file.path())
}

/// The trace's own distribution.
fn exact(padding: bool) -> StackDistribution {
    StackDistribution::new(&trace_profile(&TRACE), padding).unwrap()
}

#[test]
fn profile_is_algorithm_1() {
    let profile = trace_profile(&TRACE);
    assert_eq!(profile.stack_distances, [0, 0, 0, 0, 0, 3, 3, 5, 1, 0, 4]);
    assert_eq!(profile.line_accesses, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn distributions_are_the_references() {
    let cases = [
        (false, [0.54545454545454541, 0.63636363636363635, 0.81818181818181812, 0.90909090909090906, 1.0]),
        (true, [0.6428571428571429, 0.7142857142857143, 0.85714285714285721, 0.9285714285714286, 1.0]),
    ];
    for (padding, cumulative) in cases {
        let want: Vec<_> = [0, 1, 3, 4, 5].into_iter().zip(cumulative).collect();
        assert_eq!(exact(padding).cumulative().collect::<Vec<_>>(), want, "padding {padding}");
    }
}

/// `np.random.seed(123)`, then the reference's function. For the padded ones its `trace_profile`,
/// which fails with padding, had the zeros appended by hand.
#[test]
fn generated_traces_are_the_references() {
    type Generate = fn(&StackDistribution, usize, bool, &mut Stream) -> Vec<u64>;
    let lru: Generate = StackDistribution::trace_generate_lru;
    let rand: Generate = StackDistribution::trace_generate_rand;
    let rounded = || read(ROUNDED).unwrap();
    let cases: [(&str, StackDistribution, bool, Generate, &[u64]); 8] = [
        ("exact, lru", exact(false), false, lru, &[1, 2, 3, 4, 2, 5, 1, 2, 6, 3, 4]),
        ("exact, rand", exact(false), false, rand, &[1, 2, 3, 4, 2, 5, 1, 3, 6, 1, 2]),
        ("rounded, lru", rounded(), false, lru, &[1, 2, 3, 4, 2, 5, 1, 2, 6, 3, 4, 6, 5, 1, 2, 5, 3, 4, 6, 1]),
        ("rounded, rand", rounded(), false, rand, &[1, 2, 3, 4, 2, 5, 1, 3, 6, 1, 2, 6, 3, 4, 5, 3, 6, 1, 2, 3]),
        ("padded, lru", exact(true), true, lru, &[1, 2, 3, 4, 4, 5, 1, 3, 5, 1, 3, 4, 1, 1, 3, 5, 5, 5, 1, 3]),
        ("padded, rand", exact(true), true, rand, &[1, 2, 3, 4, 4, 5, 1, 2, 3, 3, 3, 2, 3, 5, 3, 2, 5, 5, 3, 3]),
        ("rounded padded, lru", rounded(), true, lru, &[1, 2, 3, 4, 2, 5, 1, 4, 5, 1, 4, 2, 1, 1, 4, 5, 5, 5, 1, 4]),
        ("rounded padded, rand", rounded(), true, rand, &[1, 2, 3, 4, 2, 5, 1, 2, 3, 3, 3, 2, 3, 5, 3, 2, 5, 5, 3, 3]),
    ];
    for (name, distribution, padding, generate, want) in cases {
        for _ in 0..2 {
            // Nothing is left from one trace to the next but the stream.
            assert_eq!(generate(&distribution, want.len(), padding, &mut Stream::numpy(123)), want, "{name}");
        }
    }
}

/// A trace of distinct ids has no distance but 0: new ids come round and round, padded or not.
#[test]
fn trace_without_repeats() {
    for padding in [false, true] {
        let distribution = StackDistribution::new(&trace_profile(&[7, 5]), padding).unwrap();
        assert_eq!(distribution.cumulative().collect::<Vec<_>>(), [(0, 1.0)]);
        assert_eq!(distribution.trace_generate_lru(5, padding, &mut Stream::native(1)), [7, 5, 7, 5, 7]);
    }
}

#[test]
fn files_come_back_as_written() {
    let file = tempfile::NamedTempFile::new().unwrap();
    read(ROUNDED).unwrap().write(file.path()).unwrap();
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), ROUNDED.replace("1.0", "1"));
    for padding in [false, true] {
        exact(padding).write(file.path()).unwrap();
        assert_eq!(StackDistribution::read(file.path()).unwrap(), exact(padding));
    }
}

#[test]
fn bad_files_are_named_by_line_and_position() {
    let cases = [
        ("", "0 lines, expected 3"),
        ("1\n0\n1\n\n", "4 lines, expected 3"),
        ("1, x\n0\n1\n", ":1:2: \" x\", expected a number"),
        ("1\n\n1\n", ":2:1: \"\", expected a number"),
        ("1, 2\n1, 2\n.5, 1\n", ":2:1: the first stack distance is 1"),
        ("1, 2\n0, 2, 2\n.5, .8, 1\n", ":2:3: stack distance 2 after 2"),
        ("1, 2\n0, 3\n.5, 1\n", ":2:2: stack distance 3, expected at most 2"),
        ("1, 2\n0, 1\n1\n", ":3:1: 1 probabilities"),
        ("1, 2\n0, 1\n.5, .7, .9, 1\n", ":3:3: 4 probabilities"),
        ("1, 2\n0, 1, 2\n.5, .4, 1\n", ":3:2: cumulative probability 0.4"),
        ("1, 2\n0, 1\nNaN, 1\n", ":3:1: cumulative probability NaN"),
        ("1, 2\n0, 1\n.5, .9\n", ":3:2: the last cumulative probability is 0.9"),
    ];
    for (text, message) in cases {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text:?}: {error:?} should contain {message:?}");
    }
    let error = StackDistribution::new(&trace_profile(&[]), false).unwrap_err();
    assert!(matches!(error, Error::Config(_)), "{error}");
}

/// The reference's command: a trace from its file, its distribution, a trace of the same locality to
/// a file, in the bytes that it writes itself (with NumPy 1; since NumPy 2 its text has type names in it).
#[test]
fn traces_from_file_to_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let binary: Vec<u8> = TRACE.iter().flat_map(|&id| [id as u8, 0, 0, 0, 0, 0, 0, 0]).collect();
    let cases = [(TraceFormat::Text, b"1, 2, 3, 4, 5, 3, 4, 1, 1, 6, 3".to_vec()), (TraceFormat::Binary, binary)];
    for (format, bytes) in cases {
        std::fs::write(file.path(), &bytes).unwrap();
        let trace = read_trace(file.path(), format).unwrap();
        assert_eq!(trace, TRACE);
        let distribution = StackDistribution::new(&trace_profile(&trace), false).unwrap();
        let synthetic = distribution.trace_generate_lru(trace.len(), false, &mut Stream::numpy(123));
        write_trace(file.path(), &synthetic, format).unwrap();
        assert_eq!(read_trace(file.path(), format).unwrap(), [1, 2, 3, 4, 2, 5, 1, 2, 6, 3, 4]);
        write_trace(file.path(), &TRACE, format).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), bytes);
    }
}

#[test]
fn bad_trace_files_are_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let cases = [
        (TraceFormat::Text, "1, 2, -3", ":1:3: \" -3\", expected a number"),
        (TraceFormat::Text, "1, 2\n3", "2 lines, expected one"),
        (TraceFormat::Text, "", "0 lines, expected one"),
        (TraceFormat::Binary, "1, 2", "4 bytes, expected a multiple of 8"),
    ];
    for (format, text, message) in cases {
        std::fs::write(file.path(), text).unwrap();
        let error = read_trace(file.path(), format).unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} should contain {message:?}");
    }
}
