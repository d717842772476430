//! Which shard owns a message (law 2: everything with one Call-ID has one owner).

/// The shard that owns the call with this Call-ID, of `shards` in all.
///
/// It depends on nothing but its arguments, so a user agent can choose Call-IDs that belong to a
/// given shard. A message without a Call-ID has an empty one.
pub fn shard_of(call_id: &[u8], shards: usize) -> usize {
    // FNV-1a, finished as in MurmurHash3 so that the high bits depend on every octet.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for octet in call_id {
        hash = (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    let scaled = (u128::from(hash) * shards as u128) >> 64;
    scaled as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_spread_evenly_and_stay_where_they_are() {
        let mut count = [0; 4];
        for n in 0..10_000 {
            let call_id = format!("{n}-4711@192.0.2.{}", n % 7);
            let shard = shard_of(call_id.as_bytes(), 4);
            assert_eq!(shard, shard_of(call_id.as_bytes(), 4));
            count[shard] += 1;
        }
        assert!(
            count.iter().all(|n| (2_300..2_700).contains(n)),
            "{count:?}"
        );
        assert_eq!(shard_of(b"", 1), 0);
        assert!(shard_of(b"", 3) < 3);
    }
}
