//! A slab with generations: small keys that never name a later tenant of the same place.

use core::fmt;
use core::marker::PhantomData;

/// Names one value of a [`Slab`] for as long as it lives.
pub struct Key<T> {
    index: u32,
    generation: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// Key as one number.
    pub fn as_u64(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.index)
    }

    /// The key that [`Key::as_u64`] made the number of.
    pub fn from_u64(number: u64) -> Key<T> {
        Key {
            index: number as u32,
            generation: (number >> 32) as u32,
            kind: PhantomData,
        }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.generation == other.generation
    }
}
impl<T> Eq for Key<T> {}
impl<T> core::hash::Hash for Key<T> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.as_u64());
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}

/// Values at small, reused places.
#[derive(Debug)]
pub struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// How many values live.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether no value lives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a value in and names it.
    pub fn insert(&mut self, value: T) -> Key<T> {
        if let Some(index) = self.free.pop() {
            let place = &mut self.places[index as usize];
            place.value = Some(value);
            return Key {
                index,
                generation: place.generation,
                kind: PhantomData,
            };
        }
        let index = u32::try_from(self.places.len()).expect("memory ends before 2^32 places");
        self.places.push(Place {
            generation: 0,
            value: Some(value),
        });
        Key {
            index,
            generation: 0,
            kind: PhantomData,
        }
    }

    /// The value, when it still lives.
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        let place = self.places.get(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        place.value.as_ref()
    }

    /// The value, when it still lives.
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        place.value.as_mut()
    }

    /// Takes the value out; its key names nothing any more.
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(value)
    }

    /// All values with their keys.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            let key = Key {
                index: index as u32,
                generation: place.generation,
                kind: PhantomData,
            };
            place.value.as_ref().map(|value| (key, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outlives_its_value_without_naming_another() {
        let mut slab = Slab::default();
        let a = slab.insert('a');
        assert_eq!(slab.remove(a), Some('a'));
        let b = slab.insert('b');
        assert_eq!(slab.get(a), None);
        assert_eq!(slab.get(b), Some(&'b'));
        assert_eq!(Key::from_u64(b.as_u64()), b);
        assert_eq!((slab.len(), slab.iter().count()), (1, 1));
    }
}
