#!/usr/bin/env python3
"""A phone made of pjsua2 that takes commands on stdin and prints events as JSON lines.

Commands, one a line: call URI | hangup | dtmf DIGITS | dtmfinfo DIGITS | message URI TEXT | hold | unhold | update
        | xfer URI | xferto N (the present call's peer takes our place in call N) | use N (the call that commands mean) | quit
Events: registered {status} | incoming | ringing | established {codec, call} | dtmf {digit, method} | message {text}
        | media {call, status: active, local_hold, remote_hold, none} | transferring {status, final}
        | ended {status, call} | failed {command, text}
Calls are numbered from 0 in the order in which they came to be.
"""
import argparse
import json
import os
import select
import sys

import pjsua2 as pj


def event(kind, **fields):
    print(json.dumps({"event": kind, **fields}), flush=True)


class Call(pj.Call):
    def __init__(self, agent, call_id=pj.PJSUA_INVALID_ID):
        super().__init__(agent.account, call_id)
        self.agent = agent
        self.number = len(agent.calls)
        agent.calls.append(self)  # the library calls back into it: it must live as long as that does
        self.transferee = None
        self.player = self.recorder = None

    def onCallState(self, prm):
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_EARLY:
            event("ringing", status=info.lastStatusCode)
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            codec = ""
            try:
                codec = self.getStreamInfo(0).codecName
            except pj.Error:
                pass
            event("established", codec=codec, remote=info.remoteUri, call=self.number)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.player = self.recorder = None
            if self.agent.call is self:
                self.agent.call = None
            event("ended", status=info.lastStatusCode, reason=info.lastReason, call=self.number)

    def onCallMediaState(self, prm):
        try:
            self.connect()
        except Exception as error:  # the library would swallow it
            event("failed", command="media", text=repr(error))

    def connect(self):
        """Joins the files to the call."""
        info = self.getInfo()  # its list of media dies with it
        names = {pj.PJSUA_CALL_MEDIA_ACTIVE: "active", pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: "local_hold",
                 pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: "remote_hold"}
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO:
                event("media", call=self.number, status=names.get(media.status, "none"))
            if media.type != pj.PJMEDIA_TYPE_AUDIO or media.status != pj.PJSUA_CALL_MEDIA_ACTIVE:
                continue
            audio = self.getAudioMedia(media.index)
            if not self.recorder:  # a second offer right after the answer must not start the files again
                self.recorder = pj.AudioMediaRecorder()
                self.recorder.createRecorder(self.agent.options.record)
                self.player = pj.AudioMediaPlayer()
                self.player.createPlayer(self.agent.options.play)
            audio.startTransmit(self.recorder)
            self.player.startTransmit(audio)

    def onDtmfDigit(self, prm):
        event("dtmf", digit=prm.digit, method="info" if prm.method == pj.PJSUA_DTMF_METHOD_SIP_INFO else "rfc4733")

    def onCallTransferStatus(self, prm):
        event("transferring", status=prm.statusCode, final=prm.finalNotify)

    def onCallTransferRequest(self, prm):
        self.transferee = Call(self.agent)
        prm.newCall = self.transferee

    def onCallReplaceRequest(self, prm):
        self.transferee = Call(self.agent)
        prm.newCall = self.transferee


class Account(pj.Account):
    agent = None

    def onRegState(self, prm):
        event("registered" if prm.code == 200 else "refused", status=prm.code, expires=prm.expiration)

    def onIncomingCall(self, prm):
        call = Call(self.agent, prm.callId)
        self.agent.call = call
        event("incoming", remote=call.getInfo().remoteUri)
        for status in (180, 200) if self.agent.options.answer else (180,):
            answer = pj.CallOpParam(True)
            answer.statusCode = status
            call.answer(answer)

    def onInstantMessage(self, prm):
        event("message", text=prm.msgBody, remote=prm.fromUri)


class Agent:
    def __init__(self, options):
        self.options, self.call, self.calls, self.buddies = options, None, [], []
        self.endpoint = pj.Endpoint()
        self.endpoint.libCreate()
        config = pj.EpConfig()
        config.logConfig.level, config.logConfig.consoleLevel = 5, 0
        config.logConfig.filename = options.log
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        config.medConfig.clockRate = 8000
        self.endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.port, transport.boundAddress = 5060, options.address
        kind = pj.PJSIP_TRANSPORT_TCP if options.tcp else pj.PJSIP_TRANSPORT_UDP
        if options.tls_root:
            kind, transport.port = pj.PJSIP_TRANSPORT_TLS, 5061
            transport.tlsConfig.CaListFile, transport.tlsConfig.verifyServer = options.tls_root, True
        self.endpoint.transportCreate(kind, transport)
        self.endpoint.libStart()
        self.endpoint.audDevManager().setNullDev()
        for codec in self.endpoint.codecEnum2():
            wanted = [n for n, c in enumerate(options.codecs.split(",")) if codec.codecId.startswith(c)]
            self.endpoint.codecSetPriority(codec.codecId, 200 - wanted[0] if wanted else 0)
        self.account = Account()
        self.account.agent = self
        self.account.create(self._account())

    def _account(self):
        options = self.options
        via = ";transport=tcp" if options.tcp else ";transport=tls" if options.tls_root else ""
        config = pj.AccountConfig()
        config.idUri = f"sip:{options.user}@{options.domain}"
        config.regConfig.registrarUri = f"sip:{options.domain}"
        config.regConfig.timeoutSec = 600
        config.sipConfig.proxies.append(f"sip:{options.proxy};lr{via}")
        config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", options.user, 0, os.environ["SIP_PASSWORD"]))
        config.mediaConfig.transportConfig.boundAddress = options.address
        config.mediaConfig.transportConfig.port = 20000
        config.mediaConfig.transportConfig.portRange = 1000
        config.natConfig.iceEnabled = options.ice
        config.natConfig.iceNoRtcp = False
        config.mediaConfig.rtcpMuxEnabled = options.mux
        config.mediaConfig.srtpUse = {"off": pj.PJMEDIA_SRTP_DISABLED, "optional": pj.PJMEDIA_SRTP_OPTIONAL,
                                      "required": pj.PJMEDIA_SRTP_MANDATORY}[options.srtp]
        config.mediaConfig.srtpSecureSignaling = 0
        config.natConfig.contactRewriteUse = config.natConfig.viaRewriteUse = config.natConfig.sdpNatRewriteUse = 0
        config.natConfig.sipOutboundUse = 0
        if options.prack:
            config.callConfig.prackUse = pj.PJSUA_100REL_MANDATORY
        if options.timer:
            config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_ALWAYS
            config.callConfig.timerMinSESec = config.callConfig.timerSessExpiresSec = 90
        return config

    def run(self):
        """Serves until `quit` or the end of stdin."""
        waiting = b""
        while True:
            self.endpoint.libHandleEvents(10)
            if not select.select([0], [], [], 0)[0]:
                continue
            data = os.read(0, 4096)
            if not data:
                return
            waiting += data
            *lines, waiting = waiting.split(b"\n")
            for line in lines:
                command, _, rest = line.decode().partition(" ")
                if command == "quit":
                    return
                try:
                    self.obey(command, rest)
                except Exception as error:
                    event("failed", command=command, text=str(error).split("\n")[0])

    def obey(self, command, rest):
        if command == "call":
            self.call = Call(self)
            self.call.makeCall(rest, pj.CallOpParam(True))
        elif command == "hangup":
            self.call.hangup(pj.CallOpParam(True))
        elif command == "dtmf":
            self.call.dialDtmf(rest)
        elif command == "dtmfinfo":
            keys = pj.CallSendDtmfParam()
            keys.method, keys.digits = pj.PJSUA_DTMF_METHOD_SIP_INFO, rest
            self.call.sendDtmf(keys)
        elif command == "hold":
            self.call.setHold(pj.CallOpParam(True))
        elif command == "unhold":
            options = pj.CallOpParam(True)
            options.opt.flag |= pj.PJSUA_CALL_UNHOLD
            self.call.reinvite(options)
        elif command == "update":
            self.call.update(pj.CallOpParam(True))
        elif command == "use":
            self.call = self.calls[int(rest)]
        elif command == "xfer":
            self.call.xfer(rest, pj.CallOpParam(True))
        elif command == "xferto":
            self.call.xferReplaces(self.calls[int(rest)], pj.CallOpParam(True))
        elif command == "message":
            uri, _, text = rest.partition(" ")
            buddy, config, message = pj.Buddy(), pj.BuddyConfig(), pj.SendInstantMessageParam()
            config.uri, config.subscribe = uri, False
            buddy.create(self.account, config)
            self.buddies.append(buddy)
            message.content = text
            buddy.sendInstantMessage(message)
        else:
            raise ValueError(f"unknown command {command}")

    def close(self):
        self.endpoint.hangupAllCalls()
        self.account.setRegistration(False)
        for _ in range(20):
            self.endpoint.libHandleEvents(10)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--user", "--domain", "--proxy", "--address", "--play", "--record", "--log"):
        parser.add_argument(name, required=True)
    parser.add_argument("--codecs", default="PCMU/8000,PCMA/8000", help="in the order of preference, as the library names them")
    parser.add_argument("--tcp", action="store_true")
    parser.add_argument("--tls-root", metavar="FILE", help="TLS, with a server whose certificate one of these has signed")
    parser.add_argument("--answer", action="store_true")
    parser.add_argument("--srtp", choices=["off", "optional", "required"], default="off")
    parser.add_argument("--ice", action="store_true")
    parser.add_argument("--mux", action="store_true")
    parser.add_argument("--prack", action="store_true", help="insist on reliable provisional responses")
    parser.add_argument("--timer", action="store_true", help="ask for a session interval of 90 s")
    agent = Agent(parser.parse_args())
    agent.run()
    agent.close()
    sys.stdout.flush()
    os._exit(0)  # the destructors of the wheel's objects crash when they run after the library's own


if __name__ == "__main__":
    main()
