import type { Dictionary } from '../index.svelte';

export const status: Dictionary['status'] = {
  title: '상태',
  version: (v) => `버전 ${v}`,
  running: (time) => `${time} 동안 실행 중`,
  notices: '알림',
  allWell: '모두 정상입니다.',
  figures: '실시간 수치',
  lastMinutes: '최근 2분 동안의 추이',
  calls: '진행 중인 통화',
  callsRate: (n) => `초당 새 통화 ${n}건`,
  registered: '등록된 사용자',
  registeredOf: (accounts, contacts) => `계정 ${accounts}개 중, 단말 ${contacts}대`,
  requests: '초당 요청',
  responses: (n) => `초당 응답 ${n}건`,
  load: '프로세서',
  memory: '메모리',
  trunks: '연결된 트렁크',
  trunksOf: (total) => `전체 ${total}개`,
  blocked: '차단된 출발지',
  listeners: '수신 주소',
  transport: '전송 방식',
  address: '주소',
  noListeners: '서버가 수신하는 주소가 없습니다.',
  domains: '도메인',
  totals: '시작 이후 합계',
  totalRequests: '요청',
  totalResponses: '응답',
  totalCalls: '통화',
  retransmissions: '재전송',
  malformed: '형식이 잘못된 메시지',
  levels: { error: '오류', warning: '경고', info: '안내' },
};

export const notices: Dictionary['notices'] = {
  open: (page) => `${page} 열기`,
  codes: {
    no_accounts: {
      title: '아직 계정이 없습니다.',
      todo: '전화기나 사람마다 계정을 만든 뒤, 그 주소와 비밀번호를 전화기에 입력하십시오.',
    },
    first_password: {
      title: '첫 비밀번호를 아직 쓰는 관리자가 있습니다.',
      todo: '그 이름으로 로그인하여 새 비밀번호를 정하십시오.',
    },
    loopback_only: {
      title: '이 컴퓨터에서만 서버에 접속할 수 있습니다.',
      todo: '전화기가 접속할 수 있도록 네트워크 주소(또는 0.0.0.0)에서 수신하게 하여 서버를 시작하십시오.',
    },
    private_address: {
      title: '서버에 사설 주소만 있습니다.',
      todo: '이 네트워크 밖의 전화기는 소리를 들을 수 없습니다. 시작할 때 “advertise”로 공인 주소를 지정하고 포트를 전달하십시오. 모든 전화기가 내부에 있다면 무시해도 됩니다.',
    },
    no_tls: {
      title: '연결이 암호화되지 않습니다.',
      todo: '인증서를 지정하여 서버를 시작하십시오. 그러면 전화기가 TLS를 쓸 수 있고 브라우저에서도 통화할 수 있습니다.',
    },
    certificate_expires: {
      title: '인증서가 곧 만료됩니다.',
      todo: '인증서를 갱신하여 교체하십시오. 만료되면 전화기가 접속을 거부합니다.',
    },
    trunk_unreachable: {
      title: '응답하지 않는 트렁크가 있습니다.',
      todo: '트렁크의 호스트, 포트, 전송 방식과 중간의 방화벽을 확인하십시오. 통화는 규칙의 다음 트렁크로 나갑니다.',
    },
    trunk_refused: {
      title: '등록을 거부하는 트렁크가 있습니다.',
      todo: '사용자 이름과 비밀번호를 통신 사업자에게 확인하십시오.',
    },
    clock_jumped: {
      title: '컴퓨터의 시각이 갑자기 바뀌었습니다.',
      todo: 'NTP로 시각을 맞추십시오. 그 무렵의 통화 기록은 시각이 틀릴 수 있습니다.',
    },
    disk_low: {
      title: '디스크 공간이 거의 없습니다.',
      todo: '공간을 확보하거나 통화 기록의 보관 기간을 줄이십시오. 공간이 없으면 더 이상 기록되지 않습니다.',
    },
    open_relay: {
      title: '외부인이 트렁크로 전화를 걸 수 있습니다.',
      todo: '통화에 인증을 요구하거나, 트렁크로 가는 규칙을 자체 도메인으로 제한하십시오. 그러지 않으면 다른 사람의 통화 요금을 물게 됩니다.',
    },
    restart_needed: {
      title: '다시 시작해야 적용되는 변경이 있습니다.',
      todo: '통화가 적을 때 서버를 다시 시작하십시오.',
    },
  },
  values: {
    trunk: '트렁크',
    name: '이름',
    address: '주소',
    detail: '세부 내용',
    reason: '이유',
    days: '남은 일수',
    date: '날짜',
    expires: '만료',
    free: '남은 공간',
    path: '경로',
    seconds: '초',
    rule: '규칙',
    domain: '도메인',
    setting: '설정',
  },
};

export const registrations: Dictionary['registrations'] = {
  title: '등록된 단말',
  lead: '지금 로그인되어 있어 전화를 받을 수 있는 단말입니다.',
  empty: '등록된 단말이 없습니다.',
  account: '계정',
  contact: '연락처(Contact)',
  transport: '전송 방식',
  source: '출발지',
  userAgent: '소프트웨어',
  expires: '만료',
  since: '등록 시각',
  nat: 'NAT 뒤',
  drop: '해제',
  dropNamed: (name) => `${name} 등록 해제`,
  dropTitle: (name) => `${name} 등록을 해제하시겠습니까?`,
  dropText: '다시 등록할 때까지 이 단말로 전화를 걸 수 없습니다. 대부분의 단말은 스스로 다시 등록합니다.',
  dropped: '등록을 해제했습니다.',
};

export const calls: Dictionary['calls'] = {
  title: '진행 중인 통화',
  empty: '진행 중인 통화가 없습니다.',
  caller: '발신자',
  callee: '수신자',
  state: '상태',
  states: { calling: '거는 중', ringing: '울리는 중', answered: '통화 중' },
  time: '시간',
  media: '미디어',
  medias: { direct: '직접', relay: '중계', server: '서버' },
  codecs: '코덱',
  trunk: '트렁크',
  hangUp: '끊기',
  hangUpNamed: (caller, callee) => `${caller}에서 ${callee}(으)로 건 통화 끊기`,
  hangUpTitle: '이 통화를 끊으시겠습니까?',
  hangUpText: (caller, callee) => `${caller}에서 ${callee}(으)로 건 통화가 양쪽 모두 바로 끊어집니다.`,
  hungUp: '통화를 끊었습니다.',
  count: (n) => `통화 ${n}건`,
};

export const records: Dictionary['records'] = {
  title: '통화 기록',
  empty: '아직 기록된 통화가 없습니다.',
  searchHelp: '번호, 이름 또는 Call-ID',
  from: '시작일',
  to: '종료일',
  outcome: '결과',
  outcomes: { '': '전체', answered: '응답', missed: '부재중', failed: '실패' },
  started: '시작',
  caller: '발신자',
  callee: '수신자',
  duration: '통화 시간',
  result: '결과',
  endedBy: '끊은 쪽',
  enders: { caller: '발신자', callee: '수신자', server: '서버', '': '' },
  trunk: '트렁크',
  codecs: '코덱',
  export: 'CSV로 내보내기',
};

export const firstSteps: Dictionary['firstSteps'] = {
  title: '처음 시작하기',
  lead: '네 단계로 전화망을 완성합니다. 모든 설정은 나중에 바꿀 수 있습니다.',
  hide: '숨기기',
  done: '완료',
  accounts: {
    title: '계정 만들기',
    text: '사람이나 전화기마다 하나씩 만듭니다. ‘여러 개 만들기’를 쓰면 번호 범위 전체와 비밀번호를 한 번에 만듭니다.',
    action: '계정으로 이동',
  },
  phone: {
    title: '전화기 등록',
    text: (domain, address) =>
      `전화기에 사용자 이름(번호)과 비밀번호, 도메인 ${domain}, 서버(또는 프록시) ${address}을(를) 입력하십시오. 등록되면 바로 여기에 나타나며, 등록된 전화기끼리는 번호로 통화할 수 있습니다.`,
    action: '등록된 단말 보기',
  },
  trunk: {
    title: '트렁크 연결',
    text: '통신 사업자의 접속 정보나 게이트웨이의 주소를 입력하면 외부와 통화할 수 있습니다.',
    action: '트렁크로 이동',
  },
  rule: {
    title: '다이얼 플랜 규칙 만들기',
    text: '어떤 번호를 트렁크로 내보낼지 정합니다. ‘시험해 보기’에서 전화를 걸지 않고 결과를 확인할 수 있습니다.',
    action: '다이얼 플랜으로 이동',
  },
};
