//! Whatever is pressed and whatever happens, in any order and size: nothing panics and nothing is cut in half.

use super::super::keys::{BINDINGS, Chord};
use super::*;

/// A small generator: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }
}

fn key(numbers: &mut Numbers) -> Press {
    let binding = &BINDINGS[numbers.below(BINDINGS.len())];
    match binding.chords[numbers.below(binding.chords.len())] {
        Chord::One(press) => press,
        Chord::Digits => Press::Char(['0', '5', '#', '*', '+'][numbers.below(5)]),
        Chord::Typed => Press::Char(['한', 'a', 'ㅂ', '\u{301}', '👩', '\u{7}'][numbers.below(6)]),
    }
}

fn happening(numbers: &mut Numbers, at: u64) -> Input {
    let stages = [
        Stage::Calling,
        Stage::Ringing,
        Stage::Incoming,
        Stage::Established,
    ];
    match numbers.below(9) {
        0 => Input::Size {
            columns: u16::try_from(numbers.below(140)).unwrap().max(1),
            rows: u16::try_from(numbers.below(50)).unwrap().max(1),
        },
        1 => Input::Clock(NOW + Duration::from_millis(at * 700), 9 * 3600),
        2 => {
            let many = numbers.below(6);
            let calls = (0..many).map(|_| {
                let id = u64::try_from(numbers.below(9)).unwrap();
                Call {
                    is_held: numbers.below(2) == 0,
                    is_joined: numbers.below(3) == 0,
                    asks_for: (numbers.below(4) == 0).then(|| "x".to_owned()),
                    trouble: (numbers.below(3) == 0).then(|| "소리가 오지 않습니다".to_owned()),
                    stage: stages[numbers.below(4)],
                    ..Call { id, ..talking() }
                }
            });
            let mut calls: Vec<Call> = calls.collect();
            calls.sort_by_key(|c| c.id);
            calls.dedup_by_key(|c| c.id);
            Input::Calls(calls)
        }
        3 => Input::History((0..numbers.below(40)).map(|n| missed(n as i64)).collect()),
        4 => Input::Conversations((0..numbers.below(3)).map(|_| conversation()).collect()),
        5 => Input::Logged(logged("BYE sip:x SIP/2.0\r\nX: \u{1b}[2J한글\r\n\r\n")),
        6 => Input::Told(Notice {
            text: "무슨 일이 있었습니다 ".repeat(numbers.below(12)),
            is_error: numbers.below(2) == 0,
        }),
        7 => Input::Paste("sip:밥@example.org\n\u{1b}[31m".to_owned()),
        _ => Input::Contacts(
            (0..numbers.below(60))
                .map(|n| contact(&format!("연락처 {n}"), &format!("{n}@x"), Presence::Busy))
                .collect(),
        ),
    }
}

#[test]
fn nothing_breaks_the_screen() {
    for seed in 1..=25_u64 {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut model = busy();
        if seed % 2 == 0 {
            model.language = Language::Korean;
        }
        model.look.ascii = seed % 5 == 0;
        for step in 0..250 {
            let input = if numbers.below(5) == 0 {
                happening(&mut numbers, step)
            } else {
                Input::Press(key(&mut numbers))
            };
            let told = format!("{input:?}");
            update(&mut model, input);
            assert!(model.overlays.len() <= 8, "{told}");
            if step % 6 == 0 {
                // Panics, or halves of wide characters, are found here.
                screen(&model);
            }
        }
    }
}

/// Esc leads back to the panes, from wherever one got to.
#[test]
fn esc_always_leads_back() {
    for seed in 1..=60_u64 {
        let mut numbers = Numbers(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut model = busy();
        for _ in 0..40 {
            let key = key(&mut numbers);
            update(&mut model, Input::Press(key));
        }
        for _ in 0..16 {
            let before = format!("{model:?}");
            let depth = model.overlays.len();
            let effects = press(&mut model, &[Press::Esc]);
            assert!(effects.is_empty(), "Esc only goes back: {effects:?}");
            assert!(
                depth == 0 || model.overlays.len() == depth - 1,
                "one step at a time"
            );
            if before == format!("{model:?}") {
                break;
            }
        }
        assert!(model.overlays.is_empty() && !model.zoomed && model.notice.is_none());
    }
}
