//! `wasi:random`: a seeded source, or true entropy where it is granted.
//!
//! The seed may depend on the digests of the inputs, which are being computed
//! beside the guest; so the source is made when the guest first asks.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;
use wharf_model::digest::Hasher;
use wharf_model::limits::{Bytes, LimitKind, RANDOM_BYTES};
use wharf_model::{Digest, Fault};

use super::State;
use crate::limiter::Exceeded;

/// The version of `wasi:random` that is linked; the linker takes it for every
/// compatible one.
const VERSION: &str = "0.2.6";

/// The randomness of a run.
#[derive(Debug)]
pub(crate) struct Random {
    source: Source,
    /// Seeds hash maps and the like. Not secret and not derived from the
    /// inputs, so that making a hash map does not wait for them to be hashed.
    insecure_seed: (u64, u64),
}

#[derive(Debug)]
enum Source {
    /// Not asked for yet.
    Unseeded,
    Seeded(Box<ChaCha12Rng>),
    Entropy,
}

impl Random {
    pub(crate) fn new(entropy: bool, component: &Digest) -> Self {
        let bytes = component.as_bytes();
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let source = if entropy {
            Source::Entropy
        } else {
            Source::Unseeded
        };
        Self {
            source,
            insecure_seed: (word(0), word(8)),
        }
    }
}

fn seeded(seed: u64) -> Box<ChaCha12Rng> {
    let mut hasher = Hasher::new();
    hasher.update(b"wharf random/1\n");
    hasher.update(&seed.to_le_bytes());
    Box::new(ChaCha12Rng::from_seed(*hasher.finish().as_bytes()))
}

async fn fill(state: &mut State, bytes: &mut [u8]) -> wasmtime::Result<()> {
    if let Source::Unseeded = state.random.source {
        let seed = state.context.seed.get().await?;
        state.random.source = Source::Seeded(seeded(seed));
    }
    match &mut state.random.source {
        Source::Seeded(source) => source.fill_bytes(bytes),
        Source::Entropy | Source::Unseeded => getrandom::fill(bytes)
            .map_err(|error| Fault::internal(format!("no randomness: {error}")))?,
    }
    Ok(())
}

pub(super) async fn bytes(state: &mut State, len: u64) -> wasmtime::Result<(Vec<u8>,)> {
    if len > RANDOM_BYTES {
        return Err(Exceeded::new(LimitKind::RandomBytes, Bytes(RANDOM_BYTES)).into());
    }
    let mut bytes = vec![0; len as usize];
    fill(state, &mut bytes).await?;
    Ok((bytes,))
}

async fn word(state: &mut State) -> wasmtime::Result<(u64,)> {
    let mut bytes = [0; 8];
    fill(state, &mut bytes).await?;
    Ok((u64::from_le_bytes(bytes),))
}

/// Links the interfaces by hand: the ones that wasmtime-wasi generates cannot
/// wait for the seed.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Store<'a> = StoreContextMut<'a, State>;
    for (interface, prefix) in [
        ("random", "get-random"),
        ("insecure", "get-insecure-random"),
    ] {
        let mut instance = linker.instance(&format!("wasi:random/{interface}@{VERSION}"))?;
        instance.func_wrap_async(
            &format!("{prefix}-bytes"),
            |mut store: Store<'_>, (len,): (u64,)| {
                Box::new(async move { bytes(store.data_mut(), len).await })
            },
        )?;
        instance.func_wrap_async(&format!("{prefix}-u64"), |mut store: Store<'_>, (): ()| {
            Box::new(async move { word(store.data_mut()).await })
        })?;
    }
    let mut instance = linker.instance(&format!("wasi:random/insecure-seed@{VERSION}"))?;
    instance.func_wrap("insecure-seed", |store: Store<'_>, (): ()| {
        Ok((store.data().random.insecure_seed,))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pinned: another stream for the same seed would break every replay.
    #[test]
    fn the_stream_of_a_seed_is_pinned() {
        assert_ne!(seeded(1).next_u64(), seeded(2).next_u64());
        assert_eq!(seeded(42).next_u64(), 2_878_690_540_758_115_818);
    }
}
