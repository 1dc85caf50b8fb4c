//! Shamir's secret sharing over GF(2^8), byte by byte, in the format of Vault's shares: the values, then one byte that says at which x.
//!
//! The rule: arithmetic on secret bytes has neither branches nor table look-ups that depend on them.

use zeroize::Zeroizing;

use crate::crypto;
use crate::logical::{Error, Result};

/// Why shares do not combine. The texts are the field's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// One share is no share.
    #[error("less than two parts cannot be used to reconstruct the secret")]
    TooFew,
    /// A share holds at least a value and its x.
    #[error("parts must be at least two bytes")]
    TooShort,
    /// They are not of one secret.
    #[error("all parts must be the same length")]
    Lengths,
    /// Two are for the same x, or one is for x = 0, where the secret itself would be.
    #[error("duplicate part detected")]
    Duplicate,
}

/// The product in GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1 (0x11B).
fn multiply(a: u8, b: u8) -> u8 {
    let mut product = 0;
    for bit in (0..8).rev() {
        let overflow = 0u8.wrapping_sub(product >> 7) & 0x1B;
        product = (product << 1) ^ overflow ^ (0u8.wrapping_sub((b >> bit) & 1) & a);
    }
    product
}

/// The inverse: a^254. The inverse of 0 is 0.
fn invert(a: u8) -> u8 {
    // 254 = 0b1111_1110
    let mut power = a;
    let mut result = 1;
    for _ in 0..7 {
        power = multiply(power, power);
        result = multiply(result, power);
    }
    result
}

/// Splits a secret into `shares` parts of which any `threshold` combine to it; both are 2 to 255.
///
/// Fails on numbers outside that, and if the system's random numbers fail.
pub fn split(secret: &[u8], shares: u8, threshold: u8) -> Result<Vec<Zeroizing<Vec<u8>>>> {
    if threshold < 2 || shares < threshold || secret.is_empty() {
        return Err(Error::Internal(format!("a secret of {} bytes cannot be split {shares}/{threshold}", secret.len())));
    }
    let xs = points(shares)?;
    let mut parts: Vec<_> = xs.iter().map(|_| Zeroizing::new(Vec::with_capacity(secret.len() + 1))).collect();
    let mut coefficients = Zeroizing::new(vec![0; usize::from(threshold) - 1]);
    for &byte in secret {
        crypto::fill(&mut coefficients)?;
        for (part, &x) in parts.iter_mut().zip(&xs) {
            // Horner, from the highest coefficient down to the secret.
            part.push(coefficients.iter().fold(0, |value, &next| multiply(value ^ next, x)) ^ byte);
        }
    }
    for (part, x) in parts.iter_mut().zip(xs) {
        part.push(x);
    }
    Ok(parts)
}

/// Distinct random points between 1 and 255.
fn points(count: u8) -> Result<Vec<u8>> {
    let mut points: Vec<u8> = Vec::with_capacity(usize::from(count));
    while points.len() < usize::from(count) {
        for x in crypto::random::<32>()? {
            if x != 0 && !points.contains(&x) && points.len() < usize::from(count) {
                points.push(x);
            }
        }
    }
    Ok(points)
}

/// The secret that the parts are of, if they are at least as many as the threshold and all right; else some other bytes.
pub fn combine(parts: &[impl AsRef<[u8]>]) -> Result<Zeroizing<Vec<u8>>, CombineError> {
    let [first, _, ..] = parts else { return Err(CombineError::TooFew) };
    let len = first.as_ref().len();
    if len < 2 {
        return Err(CombineError::TooShort);
    }
    let mut split = Vec::with_capacity(parts.len());
    let mut seen = [false; 256];
    // Zero is the point of the secret.
    seen[0] = true;
    for part in parts {
        if part.as_ref().len() != len {
            return Err(CombineError::Lengths);
        }
        let (&x, values) = part.as_ref().split_last().ok_or(CombineError::TooShort)?;
        match seen.get_mut(usize::from(x)) {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(CombineError::Duplicate),
        }
        split.push((x, values));
    }
    let mut secret = Zeroizing::new(vec![0; len - 1]);
    for (at, &(x, values)) in split.iter().enumerate() {
        // Lagrange's basis polynomial of this point, at zero. Points are not secret, but it is the same arithmetic.
        let others = split.iter().enumerate().filter(|&(other, _)| other != at);
        let basis = others.fold(1, |basis, (_, &(other, _))| multiply(basis, multiply(other, invert(other ^ x))));
        for (byte, &value) in secret.iter_mut().zip(values) {
            *byte ^= multiply(value, basis);
        }
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn multiplication_is_that_of_aes() {
        assert_eq!(multiply(0x57, 0x83), 0xC1);
        assert_eq!(multiply(0x57, 0x13), 0xFE);
        for a in 1..=255 {
            assert_eq!(multiply(a, invert(a)), 1, "{a}");
            assert_eq!((multiply(a, 1), multiply(a, 0)), (a, 0));
        }
        assert_eq!(invert(0), 0);
    }

    #[test]
    fn shares_that_openbao_made_combine() {
        let parts: Vec<_> = [
            "6d7b0abc116fc1b03634edd3646a3ea9453f37ee7012a8e2011c1803781070469b",
            "8196208a624b79020ca4e49a845aa0ff50107d0897036f27db1792f27195add948",
            "ef0c9bf45c1f7a136eeff1c6f62a046180a226741f2e4ef5cbf112ad640e47894d",
        ]
        .map(|part| hex::decode(part).unwrap())
        .into();
        let secret = combine(&parts[..2]).unwrap();
        assert_eq!(secret.len(), 32);
        for pair in [[0, 2], [1, 2], [2, 0]] {
            assert_eq!(combine(&pair.map(|at| &parts[at])).unwrap(), secret);
        }
    }

    #[test]
    fn parts_that_cannot_belong_together_are_refused() {
        let error = |parts: &[&[u8]]| combine(parts).unwrap_err();
        assert_eq!(error(&[]), CombineError::TooFew);
        assert_eq!(error(&[&[1, 2]]), CombineError::TooFew);
        assert_eq!(error(&[&[1], &[2]]), CombineError::TooShort);
        assert_eq!(error(&[&[1, 2], &[1, 2, 3]]), CombineError::Lengths);
        assert_eq!(error(&[&[1, 2], &[3, 2]]), CombineError::Duplicate);
        assert_eq!(error(&[&[1, 2], &[3, 0]]), CombineError::Duplicate);
        for (shares, threshold) in [(1, 1), (2, 1), (2, 3), (0, 0)] {
            assert!(split(b"x", shares, threshold).is_err());
        }
    }

    #[test]
    fn the_most_shares_combine() {
        let parts = split(&[7; 32], 255, 255).unwrap();
        assert_eq!(**combine(&parts).unwrap(), [7; 32]);
        assert_ne!(**combine(&parts[1..]).unwrap(), [7; 32]);
    }

    proptest! {
        #[test]
        fn any_threshold_of_the_shares_combines_and_fewer_do_not(
            secret in prop::array::uniform32(any::<u8>()),
            (threshold, order) in (2u8..6, 0u8..5).prop_flat_map(|(threshold, more)| {
                (Just(threshold), Just((0..usize::from(threshold + more)).collect::<Vec<_>>()).prop_shuffle())
            }),
        ) {
            let parts = split(&secret, order.len() as u8, threshold).unwrap();
            prop_assert!(parts.iter().all(|part| part.len() == 33));
            let chosen: Vec<_> = order.iter().take(usize::from(threshold)).map(|&at| &parts[at][..]).collect();
            prop_assert_eq!(&**combine(&chosen).unwrap(), &secret[..]);
            if threshold > 2 {
                prop_assert_ne!(&**combine(&chosen[1..]).unwrap(), &secret[..]);
            }
        }

        #[test]
        fn a_changed_share_gives_another_secret(secret in prop::array::uniform32(any::<u8>()), at in 0usize..32, bit in 0u32..8) {
            let mut parts = split(&secret, 3, 3).unwrap();
            parts[1][at] ^= 1u8 << bit;
            prop_assert_ne!(&**combine(&parts).unwrap(), &secret[..]);
        }
    }
}
