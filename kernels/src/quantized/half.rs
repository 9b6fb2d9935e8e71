//! Numbers of two bytes: f16 (IEEE 754 binary16: 5 bits of exponent, 10 of mantissa) and bf16 (the
//! upper half of an f32: 8 and 7). In plain Rust; the vector loads of `simd` give the same bits.

/// An f32's sign, in the place where a number of two bytes has it.
fn sign(x: f32) -> u16 {
    (x.to_bits() >> 16) as u16 & 0x8000
}

/// The f16 nearest to `x`, of two that are as near the even one; ±∞ from 65520 on; NaN stays NaN.
pub fn f32_to_f16(x: f32) -> u16 {
    let magnitude = x.to_bits() & 0x7fff_ffff;
    let half = if magnitude > 0x7f80_0000 {
        0x7e00
    } else if magnitude >= 0x4780_0000 {
        0x7c00 // 65536 and more
    } else if magnitude < 0x3880_0000 {
        // Below 2⁻¹⁴ f16 counts multiples of 2⁻²⁴, and so does f32 from 0.5 on: the sum rounds.
        (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5f32.to_bits()
    } else {
        // 13 bits fall away: half of the last kept one is added, or a little less if that one is even.
        (magnitude - 0x3800_0000 + 0xfff + (magnitude >> 13 & 1)) >> 13
    };
    sign(x) | half as u16
}

/// The number that the f16 `half` stands for.
pub fn f16_to_f32(half: u16) -> f32 {
    let (exponent, mantissa) = (half >> 10 & 0x1f, u32::from(half & 0x3ff));
    let magnitude = match exponent {
        0 => mantissa as f32 / 16_777_216.0,
        0x1f => f32::from_bits(0x7f80_0000 | mantissa << 13),
        _ => f32::from_bits((u32::from(exponent) + 112) << 23 | mantissa << 13),
    };
    f32::from_bits(magnitude.to_bits() | u32::from(half & 0x8000) << 16)
}

/// The bf16 nearest to `x`, of two that are as near the even one; NaN stays NaN.
pub fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The number that the bf16 `half` stands for.
pub fn bf16_to_f32(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A conversion there and back, and the largest finite pattern.
    type Format = (&'static str, fn(f32) -> u16, fn(u16) -> f32, u16);

    const FORMATS: [Format; 2] = [("f16", f32_to_f16, f16_to_f32, 0x7bff), ("bf16", f32_to_bf16, bf16_to_f32, 0x7f7f)];

    #[test]
    fn every_half_comes_back() {
        for (name, narrow, widen, _) in FORMATS {
            for half in 0..=u16::MAX {
                let x = widen(half);
                assert!(narrow(x) == half || x.is_nan() && widen(narrow(x)).is_nan(), "{name} {half:#06x}: {x:e}");
            }
        }
    }

    #[test]
    fn rounds_to_the_nearest_and_ties_to_even() {
        for (name, narrow, widen, largest) in FORMATS {
            for low in 0..largest {
                let (a, b) = (widen(low), widen(low + 1));
                let middle = (f64::from(a) + f64::from(b)) / 2.0;
                let tie = middle as f32; // exact: f32 has bits to spare, but for bf16's subnormals
                if f64::from(tie) != middle {
                    continue;
                }
                let even = if low % 2 == 0 { low } else { low + 1 };
                let around = [(tie.next_down(), low), (tie, even), (tie.next_up(), low + 1)];
                for (x, expected) in around {
                    assert_eq!(narrow(x), expected, "{name} of {x:e}");
                    assert_eq!(narrow(-x), expected | 0x8000, "{name} of {:e}", -x);
                }
            }
        }
    }

    #[test]
    fn known_values() {
        let f16 =
            [(1.0, 0x3c00), (-2.0, 0xc000), (65504.0, 0x7bff), (65519.9, 0x7bff), (65520.0, 0x7c00), (0.1, 0x2e66)];
        f16.iter().for_each(|&(x, half)| assert_eq!(f32_to_f16(x), half, "{x}"));
        assert_eq!([f32_to_f16(5.960_464_5e-8), f32_to_f16(f32::NEG_INFINITY), f32_to_f16(1e30)], [1, 0xfc00, 0x7c00]);
        assert_eq!([f32_to_bf16(1.0), f32_to_bf16(-0.1), f32_to_bf16(f32::MAX)], [0x3f80, 0xbdcd, 0x7f80]);
        assert!(f16_to_f32(f32_to_f16(f32::NAN)).is_nan() && bf16_to_f32(f32_to_bf16(f32::NAN)).is_nan());
    }
}
