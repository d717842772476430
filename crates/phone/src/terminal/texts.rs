//! Every text of the screen, in English and Korean.

/// A language of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Korean.
    Korean,
}

impl Language {
    /// The language of a locale as LC_ALL, LC_MESSAGES and LANG name it: `ko_KR.UTF-8`, or of a short name: `ko`.
    pub fn from_locale(locale: &str) -> Option<Language> {
        let language = locale
            .split(['_', '-', '.', '@'])
            .next()
            .unwrap_or_default();
        match language {
            "ko" => Some(Language::Korean),
            "en" => Some(Language::English),
            _ => None,
        }
    }

    /// Its short name: `ko`.
    pub const fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Korean => "ko",
        }
    }
}

macro_rules! texts {
    ($($name:ident: $english:literal, $korean:literal;)+) => {
        /// Names a text; `{}` in it stands for what is put in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the texts themselves say what they mean")]
        pub enum Text { $($name,)+ }

        impl Text {
            /// All of them.
            #[cfg(test)]
            pub const ALL: &[Text] = &[$(Text::$name,)+];

            /// The text itself.
            pub const fn in_language(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Text::$name, Language::English) => $english, (Text::$name, Language::Korean) => $korean,)+
                }
            }
        }
    };
}

impl Text {
    /// The text with its `{}` filled in, one after the other.
    pub fn with(self, language: Language, values: &[&str]) -> String {
        let mut out = String::new();
        let mut values = values.iter();
        for (n, part) in self.in_language(language).split("{}").enumerate() {
            if n > 0 {
                out.push_str(values.next().copied().unwrap_or_default());
            }
            out.push_str(part);
        }
        out
    }
}

texts! {
    // Panes.
    Calls: "Calls", "통화";
    Contacts: "Contacts", "연락처";
    History: "History", "통화 기록";
    Accounts: "Accounts", "계정";
    Messages: "Messages", "메시지";
    Log: "SIP log", "SIP 로그";
    Settings: "Settings", "설정";
    // Where keys hold.
    ScopeAlways: "Everywhere", "어디서나";
    ScopePanes: "In every pane", "모든 창";
    ScopeRinging: "While somebody calls", "전화가 올 때";
    ScopeLine: "Editing a line", "입력 줄 편집";
    ScopeDial: "The dial line", "번호 입력 줄";
    ScopeSearch: "Searching", "검색";
    ScopeCompose: "Writing a message", "메시지 쓰기";
    ScopeKeypad: "The keypad", "키패드";
    ScopeChoose: "Choosing from a list", "목록에서 고르기";
    ScopeConfirm: "A question", "확인 질문";
    ScopeRead: "Reading", "읽기 화면";
    ColumnKey: "key", "키";
    ColumnMeaning: "what it does", "하는 일";
    SpaceKey: "Space", "스페이스";
    AnyCharacter: "any character", "모든 글자";
    // What keys do.
    KeyHelp: "help", "도움말";
    KeyAnswer: "answer the call that rings", "걸려 온 전화 받기";
    KeyRefuse: "refuse the call that rings (busy)", "걸려 온 전화 거절(통화 중으로 응답)";
    KeyDeflect: "send the call that rings to somebody else", "걸려 온 전화를 다른 곳으로 돌리기";
    KeyQuit: "quit", "끝내기";
    KeySuspend: "suspend; fg comes back", "잠시 멈춤(fg로 돌아오기)";
    KeyRedraw: "draw the screen anew", "화면 다시 그리기";
    KeyDigits: "dial", "번호 누르기";
    KeyDial: "call a name, number or address", "이름, 번호, 주소로 전화 걸기";
    KeySearch: "search in this pane", "이 창에서 검색";
    KeyNextPane: "next pane", "다음 창";
    KeyPreviousPane: "previous pane", "이전 창";
    KeyUp: "up", "위로";
    KeyDown: "down", "아래로";
    KeyPageUp: "a page up", "한 쪽 위로";
    KeyPageDown: "a page down", "한 쪽 아래로";
    KeyFirst: "to the first", "처음으로";
    KeyLast: "to the last", "끝으로";
    KeyLeft: "the pane to the left; in settings: less", "왼쪽 창(설정에서는 줄이기)";
    KeyRight: "the pane to the right; in settings: more", "오른쪽 창(설정에서는 늘리기)";
    KeyZoom: "this pane alone, or all of them", "이 창만 크게 보기/모두 보기";
    KeyDoNotDisturb: "do not disturb, on or off", "방해 금지 켜기/끄기";
    KeyBack: "one step back", "한 단계 뒤로";
    KeyTalk: "talk to this one: answer, or resume and hold the others", "이 통화로 말하기(받거나, 다른 통화를 보류하고 재개)";
    KeyHold: "hold, or resume", "보류/재개";
    KeyHangUp: "hang up, or refuse", "끊기/거절";
    KeyMute: "microphone off, or on", "마이크 끄기/켜기";
    KeyKeypad: "press keys that the other side hears", "상대에게 키 음(DTMF) 보내기";
    KeyTransfer: "transfer to somebody", "통화 돌려주기";
    KeyAttended: "connect with another call and leave (attended transfer)", "다른 통화와 연결해 주고 빠지기";
    KeyConference: "conference: all calls talk together, or apart again", "모든 통화를 회의로 묶기/풀기";
    KeyRecord: "record, or stop", "녹음 시작/중지";
    KeyWriteTo: "write to them", "메시지 쓰기";
    KeyDetails: "details of the call", "통화 자세히 보기";
    KeyCall: "call", "전화 걸기";
    KeyCreate: "new contact", "새 연락처";
    KeyEdit: "change the name", "이름 바꾸기";
    KeyRemoveContact: "remove the contact", "연락처 지우기";
    KeyCallBack: "call back", "다시 걸기";
    KeyMissed: "missed calls only, or all", "부재중만 보기/모두 보기";
    KeyKeep: "keep as a contact", "연락처로 저장";
    KeyForget: "remove from the history", "기록에서 지우기";
    KeyRegister: "register now", "지금 등록";
    KeyUnregister: "take the registration away", "등록 해제";
    KeyDefault: "call out from this account", "이 계정으로 전화 걸기";
    KeyWrite: "open the conversation and write", "대화 열고 쓰기";
    KeyTextTo: "write to somebody new", "새 상대에게 쓰기";
    KeyOpenMessage: "open the message", "메시지 열기";
    KeyFollow: "follow new messages, or stay", "새 메시지 따라가기/멈추기";
    KeyClearLog: "clear the log", "로그 비우기";
    KeyChange: "change", "바꾸기";
    KeyTestTone: "play a test tone", "시험음 내기";
    KeyType: "type", "글자 입력";
    KeyBackspace: "take the character before the cursor", "앞 글자 지우기";
    KeyDelete: "take the character behind the cursor", "뒤 글자 지우기";
    KeyDeleteWord: "take the word before the cursor", "앞 낱말 지우기";
    KeyClearLine: "take everything", "모두 지우기";
    KeyLineLeft: "one character back", "한 글자 왼쪽";
    KeyLineRight: "one character on", "한 글자 오른쪽";
    KeyLineStart: "to the beginning", "줄 처음";
    KeyLineEnd: "to the end", "줄 끝";
    KeyDialNow: "go on with this address", "이 주소로 진행";
    KeyComplete: "complete", "자동 완성";
    KeySearchNow: "keep the search and go to the list", "검색을 두고 목록으로";
    KeySend: "send", "보내기";
    KeyPress: "press this key", "이 키 누르기";
    KeyChoose: "take this one", "이것으로 하기";
    KeyYes: "yes", "예";
    KeyNo: "no", "아니요";
    // Words for hints.
    HintDial: "dial", "걸기";
    HintHelp: "help", "도움말";
    HintTalk: "talk", "말하기";
    HintHold: "hold", "보류";
    HintHangUp: "hang up", "끊기";
    HintMute: "mute", "음소거";
    HintKeypad: "keypad", "키패드";
    HintTransfer: "transfer", "돌려주기";
    HintAttended: "connect", "연결";
    HintConference: "conference", "회의";
    HintRecord: "record", "녹음";
    HintMessage: "message", "메시지";
    HintDetails: "details", "자세히";
    HintCall: "call", "걸기";
    HintCreate: "new contact", "연락처 추가";
    HintEdit: "rename", "이름 바꾸기";
    HintRemove: "remove", "지우기";
    HintMissed: "missed only", "부재중만";
    HintRegister: "register", "등록";
    HintUnregister: "unregister", "등록 해제";
    HintDefault: "call from here", "발신 계정";
    HintWrite: "write", "쓰기";
    HintTextTo: "new", "새 대화";
    HintOpen: "open", "열기";
    HintFollow: "follow", "따라가기";
    HintClear: "clear", "비우기";
    HintChange: "change", "바꾸기";
    HintTestTone: "test tone", "시험음";
    HintResume: "resume", "재개";
    HintUnmute: "unmute", "음소거 해제";
    HintStop: "stop recording", "녹음 중지";
    HintApart: "leave conference", "회의에서 빼기";
    HintAll: "all", "모두";
    HintBack: "back", "뒤로";
    HintGo: "OK", "확인";
    HintChoose: "choose", "고르기";
    HintComplete: "complete", "완성";
    HintSend: "send", "보내기";
    HintPress: "press", "누르기";
    HintScroll: "scroll", "움직이기";
    Answer: "answer", "받기";
    Refuse: "refuse", "거절";
    Deflect: "send on", "돌리기";
    Yes: "yes", "예";
    No: "no", "아니요";
    // The status line.
    Registered: "registered", "등록됨";
    Registering: "registering", "등록 중";
    NotRegistered: "not registered", "등록 안 됨";
    RegistrationOff: "off", "꺼짐";
    TriedAgainIn: "again in {} s", "{}초 뒤 다시 시도";
    NoAccount: "no account", "계정 없음";
    MicOk: "mic", "마이크";
    SpeakerOk: "speaker", "스피커";
    MissedCount: "{} missed", "부재중 {}";
    UnreadCount: "{} new", "새 메시지 {}";
    VoicemailCount: "voicemail {}", "음성 사서함 {}";
    DoNotDisturb: "Do not disturb", "방해 금지";
    DoNotDisturbShort: "DND", "방해 금지";
    Diverted: "diverted", "착신 전환";
    Filter: "filter: {}", "검색어: {}";
    // Calls.
    Calling: "calling", "거는 중";
    RingingThere: "ringing there", "상대 벨 울림";
    RingingHere: "calls you", "전화 왔음";
    Talking: "talking", "통화 중";
    OnHold: "on hold", "보류 중";
    HeldThere: "held by them", "상대가 보류함";
    Muted: "muted", "음소거";
    Recording: "REC", "녹음";
    Joined: "conference", "회의";
    NotEncrypted: "not encrypted", "암호화 안 됨";
    LevelsHeard: "in", "수신";
    LevelsSaid: "out", "송신";
    Loss: "loss {} %", "손실 {} %";
    Jitter: "jitter {} ms", "지터 {} ms";
    RoundTrip: "RTT {} ms", "왕복 {} ms";
    Mos: "MOS {}", "MOS {}";
    NoCalls: "No calls. Type a number, or d and a name.", "통화가 없습니다. 번호를 누르거나 d를 눌러 이름을 입력하세요.";
    NoContacts: "No contacts. c makes one.", "연락처가 없습니다. c로 추가하세요.";
    NothingFound: "Nothing matches. Esc ends the search.", "검색 결과가 없습니다. Esc로 검색을 끝냅니다.";
    NoHistory: "No calls yet.", "아직 통화 기록이 없습니다.";
    NoMissed: "No missed calls. f shows all.", "부재중 전화가 없습니다. f로 모두 봅니다.";
    NoMessages: "No messages. s writes to somebody.", "메시지가 없습니다. s로 새로 씁니다.";
    NoLog: "No SIP messages yet.", "아직 SIP 메시지가 없습니다.";
    Missed: "missed", "부재중";
    NotAnswered: "not answered", "연결 안 됨";
    CallsYou: "{} calls you", "{} 님의 전화입니다";
    AsksTransfer: "{} asks you to call {}", "{} 님이 {}(으)로 전화해 달라고 합니다";
    MoreCallers: "and {} more", "외 {}건";
    DtmfHeard: "keys heard: {}", "받은 키: {}";
    // Presence.
    Online: "online", "온라인";
    Offline: "offline", "오프라인";
    Away: "away", "자리 비움";
    Busy: "busy", "다른 용무 중";
    // Messages.
    MessageSending: "sending", "보내는 중";
    MessageStored: "kept for them", "서버에 보관됨";
    MessageFailed: "not delivered: {}", "전달 안 됨: {}";
    You: "you", "나";
    // Settings.
    Microphone: "Microphone", "마이크";
    Speaker: "Speaker", "스피커";
    MicrophoneVolume: "Microphone volume", "마이크 음량";
    SpeakerVolume: "Speaker volume", "스피커 음량";
    Level: "Microphone level", "마이크 입력";
    TestTone: "Test tone", "시험음";
    TestToneHow: "t plays it through the speaker", "t를 누르면 스피커로 들립니다";
    DivertAlways: "Divert all calls to", "모든 전화 돌리기";
    DivertBusy: "Divert when busy to", "통화 중일 때 돌리기";
    DivertNoAnswer: "Divert unanswered to", "받지 않을 때 돌리기";
    LanguageSetting: "Language", "언어";
    LanguageName: "English", "한국어";
    On: "on", "켜짐";
    Off: "off", "꺼짐";
    NoDevice: "none", "없음";
    LevelSilent: "nothing is heard: is it muted?", "소리가 없습니다. 음소거되어 있나요?";
    // The dial line and its kin.
    DialPrompt: "Call", "전화";
    TransferPrompt: "Transfer to", "돌려줄 곳";
    DeflectPrompt: "Send the caller to", "전화를 돌릴 곳";
    RecipientPrompt: "Write to", "받는 사람";
    DivertPrompt: "Divert to (empty: do not divert)", "착신 전환할 곳(비우면 해제)";
    SearchPrompt: "Search", "검색";
    ContactAddressPrompt: "Address or number", "주소 또는 번호";
    ContactNamePrompt: "Name", "이름";
    IdlePrompt: "Type a number to dial", "번호를 누르면 전화를 겁니다";
    WritePrompt: "Message", "메시지";
    KeypadTitle: "Keypad: {}", "키패드: {}";
    KeypadHow: "Digits, * and # go to the other side.", "숫자, *, #을 누르면 상대에게 전달됩니다.";
    AttendedTitle: "Connect {} with", "{} 님을 연결할 통화";
    ChooseMicrophone: "Choose the microphone", "마이크 고르기";
    ChooseSpeaker: "Choose the speaker", "스피커 고르기";
    InCall: "in a call", "통화 중";
    HelpTitle: "Keys", "키 안내";
    DetailsTitle: "Details of the call", "통화 정보";
    QuitQuestion: "Calls are going on. Hang up and quit?", "통화가 있습니다. 끊고 끝낼까요?";
    CallLinkQuestion: "A link asks to call {}. Call?", "링크가 {}(으)로 전화를 걸려고 합니다. 걸까요?";
    RemoveContactQuestion: "Remove {} from the contacts?", "연락처에서 {}을(를) 지울까요?";
    LogTruncated: "{} of {}", "{}/{}";
    Paused: "paused", "멈춤";
    MissedOnly: "missed only", "부재중만";
    // Details.
    DetailPeer: "Other side", "상대";
    DetailAccount: "Account", "계정";
    DetailState: "State", "상태";
    DetailCodec: "Codec", "코덱";
    DetailSecurity: "Sound encryption", "음성 암호화";
    DetailTransport: "Signalling over", "신호 전송";
    DetailLoss: "Packet loss", "패킷 손실";
    DetailJitter: "Jitter", "지터";
    DetailRoundTrip: "Round trip", "왕복 시간";
    DetailMos: "Quality (MOS, estimated)", "품질(MOS 추정)";
    // Notices.
    NobodyRings: "Nobody is calling.", "걸려 온 전화가 없습니다.";
    NoCallHere: "No call is selected. Type a number to make one.", "선택한 통화가 없습니다. 번호를 눌러 전화를 거세요.";
    NotTalking: "This works once the call is answered.", "상대가 받은 뒤에 쓸 수 있습니다.";
    NoOtherCall: "There is no second call to connect with. Hold this one and call the other first.", "연결할 다른 통화가 없습니다. 지금 통화를 보류하고 먼저 전화를 거세요.";
    TwoCallsNeeded: "A conference needs two answered calls.", "회의에는 연결된 통화가 둘 이상 있어야 합니다.";
    TooSmall: "The terminal is too small: it needs {} columns and {} rows.", "터미널이 너무 작습니다. {}칸 {}줄이 필요합니다.";
    DndOn: "Do not disturb: callers find you busy.", "방해 금지를 켰습니다. 전화한 사람에게는 통화 중으로 보입니다.";
    DndOff: "Calls ring again.", "이제 전화가 울립니다.";
    Ended: "{}: {}", "{}: {}";
    // Why something ended or failed.
    EndedHere: "you hung up", "내가 끊음";
    RefusedHere: "refused", "거절함";
    EndedThere: "they hung up", "상대가 끊음";
    Cancelled: "given up before it was answered", "받기 전에 끊음";
    AnsweredElsewhere: "answered on another phone", "다른 전화기에서 받음";
    NoResponse: "no response came in time", "응답이 없습니다";
    NoAck: "our answer was not acknowledged", "응답 확인(ACK)이 오지 않음";
    PasswordRefused: "name or password refused ({})", "이름이나 비밀번호가 거부됨({})";
    Forbidden: "not allowed", "허용되지 않음";
    NobodyHasIt: "nobody has this address", "없는 주소";
    NobodyReached: "nobody was reached", "연결하지 못함";
    NobodyThere: "nobody is there", "상대가 자리에 없음";
    IsBusy: "busy", "통화 중";
    NoCodecInCommon: "no codec in common", "공통 코덱 없음";
    Declined: "declined", "거절됨";
    ServerTrouble: "the server has a problem", "서버에 문제가 있음";
    CannotReach: "cannot be reached: {}", "연결할 수 없음: {}";
    // What to do about it.
    CheckPassword: "Check the account's name and password.", "계정 이름과 비밀번호를 확인하세요.";
    CheckNetwork: "Check the network and the server's address.", "네트워크와 서버 주소를 확인하세요.";
    AskAdministrator: "Ask whoever runs the server.", "서버 관리자에게 문의하세요.";
    TellAdministrator: "Try again later, or tell whoever runs the server.", "나중에 다시 하거나 서버 관리자에게 알리세요.";
    CheckAddress: "Check how the address is written.", "주소를 바르게 썼는지 확인하세요.";
    TryLater: "Try again later.", "나중에 다시 거세요.";
    TryCodecs: "Allow more codecs.", "다른 코덱도 허용해 보세요.";
    // What happened.
    DeviceLost: "{} {} is gone, and there is no other.", "{}({})이(가) 없어졌고 다른 장치도 없습니다.";
    DeviceReplaced: "{} is gone; {} is used now.", "{}가 없어져 {}을(를) 씁니다.";
    DeviceBack: "{} {} is back.", "{}({})이(가) 다시 연결되었습니다.";
    RecordingTo: "Recording to {}", "녹음 파일: {}";
    RecordingEnded: "The recording is complete.", "녹음을 마쳤습니다.";
    TransferProgress: "{} is being connected ({})", "{} 님을 연결하는 중입니다({})";
    TransferDone: "{} is connected; this call is over.", "{} 님을 연결했습니다. 이 통화는 끝났습니다.";
    TransferFailed: "{} could not be transferred: {}", "{} 님의 통화를 돌리지 못했습니다: {}";
    RedirectedTo: "{} sends the call on to {}", "{} 님이 통화를 {}(으)로 돌립니다";
    DivertedTo: "The call of {} was sent on to {}", "{} 님의 전화를 {}(으)로 돌렸습니다";
    ChangeRefused: "The other side refuses: {}", "상대가 거부했습니다: {}";
    MessageFrom: "Message from {}", "{} 님의 메시지";
    KeyPressed: "{} pressed {}", "{} 님이 {} 키를 눌렀습니다";
    TransferOn: "Transfer to {} is on its way.", "{}(으)로 통화를 돌려주는 중입니다.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_take_the_same_values() {
        for text in Text::ALL {
            let english = text.in_language(Language::English);
            let korean = text.in_language(Language::Korean);
            assert!(!english.is_empty() && !korean.is_empty(), "{text:?}");
            assert_eq!(
                english.matches("{}").count(),
                korean.matches("{}").count(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn locales() {
        assert_eq!(Language::from_locale("ko_KR.UTF-8"), Some(Language::Korean));
        assert_eq!(Language::from_locale("ko"), Some(Language::Korean));
        assert_eq!(Language::from_locale("en_US"), Some(Language::English));
        assert_eq!(Language::from_locale("C.UTF-8"), None);
        assert_eq!(Language::from_locale(""), None);
        assert_eq!(Text::Ended.with(Language::English, &["a", "b"]), "a: b");
        assert_eq!(Text::Ended.with(Language::English, &["a"]), "a: ");
    }
}
