//! The random streams against NumPy 2.4 and against the published definition of xoshiro256++.

#![allow(clippy::excessive_precision, reason = "17 digits, as NumPy prints them")]

use dlrm::Stream;

/// What one seed must give, call after call. The five normals leave one in the cache, which the
/// uniforms in between must not disturb.
struct Case {
    seed: u32,
    uniform: [f64; 5],
    normal: [f64; 5],
    uniform_range: [f64; 2],
    normal_with: [f64; 3],
    last: f64,
}

/// Printed by
/// ```python
/// for s in (123, 0, 4294967295):
///     np.random.seed(s)
///     for v in (np.random.rand(5), np.random.randn(5), np.random.uniform(-3, 7, 2), np.random.normal(10, 2, 3), np.random.rand(1)):
///         print(", ".join("%.17g" % x for x in v))
/// ```
const CASES: [Case; 3] = [
    Case {
        seed: 123,
        uniform: [
            0.69646918559786164,
            0.28613933495037946,
            0.22685145356420311,
            0.55131476908289123,
            0.71946896978556307,
        ],
        normal: [
            0.32210606833962163,
            -0.0515177209393851,
            -0.20420096463889467,
            1.979348432777849,
            -1.6193000650367457,
        ],
        uniform_range: [4.2904970738404167, 1.3857224467962439],
        normal_with: [7.7720711660859898, 9.7132550517434826, 8.761618198542017],
        last: 0.7379954057320357,
    },
    Case {
        seed: 0,
        uniform: [
            0.54881350392732475,
            0.71518936637241948,
            0.60276337607164387,
            0.54488318299689686,
            0.42365479933890471,
        ],
        normal: [
            -0.84272405382928728,
            1.9699244478698945,
            1.2661185298577784,
            -0.50587653976051172,
            2.5452007784710537,
        ],
        uniform_range: [6.2559663829266103, -2.2896394180211308],
        normal_with: [12.16162382611089, 10.96862430824133, 11.158280957413456],
        last: 0.87001214824681916,
    },
    Case {
        seed: 4294967295,
        uniform: [
            0.097632028994013798,
            0.91238284530262181,
            0.78903530185163995,
            0.78000359811346776,
            0.01793967398674523,
        ],
        normal: [
            0.081303668117269204,
            0.40968512334816559,
            0.31595808265170017,
            0.035039164793492637,
            -1.7414308685792079,
        ],
        uniform_range: [-1.1823263851149619, 6.3353375333003239],
        normal_with: [8.3010891894047063, 7.0862688980923849, 9.8996804689117663],
        last: 0.98720799224996225,
    },
];

/// Uniform numbers are exact. Normal ones pass through a logarithm whose last bit is the
/// platform's: 4 ulp.
#[track_caller]
fn assert_normal(got: f64, want: f64, seed: u32) {
    assert!((got - want).abs() <= 4.0 * f64::EPSILON * want.abs(), "seed {seed}: {got:?}, NumPy has {want:?}");
}

#[test]
fn numpy_stream_is_numpys() {
    for case in &CASES {
        let mut s = Stream::numpy(case.seed);
        for want in case.uniform {
            assert_eq!(s.uniform(), want, "seed {}", case.seed);
        }
        for want in case.normal {
            assert_normal(s.normal(), want, case.seed);
        }
        for want in case.uniform_range {
            assert_eq!(s.uniform_range(-3.0, 7.0), want, "seed {}", case.seed);
        }
        for want in case.normal_with {
            assert_normal(s.normal_with(10.0, 2.0), want, case.seed);
        }
        assert_eq!(s.uniform(), case.last, "seed {}", case.seed);
    }
}

/// `np.random.seed(123); np.random.uniform(-.5, .5, 5).astype(np.float32)`, then
/// `np.random.normal(0, .1, 3).astype(np.float32)`.
#[test]
fn filling_rounds_each_draw_to_f32() {
    let (mut uniform, mut normal) = ([0.0; 5], [0.0; 3]);
    let mut s = Stream::numpy(123);
    s.fill_uniform(&mut uniform, -0.5, 0.5);
    s.fill_normal(&mut normal, 0.0, 0.1);
    assert_eq!(uniform, [0.196469188, -0.213860661, -0.273148537, 0.0513147675, 0.219468966]);
    assert_eq!(normal, [0.0322106071, -0.00515177194, -0.0204200968]);
}

/// The first 64-bit outputs of xoshiro256++ seeded by SplitMix64, and of the sub-streams, worked
/// out in integers with a Python transcription of Blackman and Vigna's C.
#[test]
fn native_streams_are_pinned() {
    let cases = [
        (Stream::native(7), [1021219803524665661, 3174977118032272916, 13236943193235544178]),
        (Stream::native_at(7, 0), [2788610612348042909, 8911376727796271639, 5057056098409244254]),
        (Stream::native_at(7, 1), [16182476292314289940, 8902479308999620281, 7389017251658850182]),
        (Stream::native_at(8, 0), [16799462849029098784, 10314164637838684425, 11287275999944629038]),
    ];
    for (mut stream, want) in cases {
        assert_eq!([(); 3].map(|()| stream.parallel_key().unwrap()), want);
    }
    assert_eq!(Stream::native(7).uniform(), 0.055360436478333108);
}
