"""A NAS made of pyrad. Says its port, and does what the User-Name says: alice, gone, silent."""

import os
import sys

from pyrad import dictionary, packet, server


class Nas(server.Server):
    def HandleDisconnectPacket(self, pkt):
        self.answer(pkt, packet.DisconnectNAK)

    def HandleCoaPacket(self, pkt):
        self.answer(pkt, packet.CoANAK)

    def answer(self, pkt, refusal):
        if not pkt.message_authenticator or not pkt.verify_message_authenticator():
            raise server.ServerPacketError("no Message-Authenticator that verifies")
        if "Event-Timestamp" not in pkt or "Acct-Session-Id" not in pkt:
            raise server.ServerPacketError("an attribute is missing")
        user = pkt["User-Name"][0]
        if user == "silent":
            return
        reply = self.CreateReplyPacket(pkt)
        limit = pkt["Mikrotik-Rate-Limit"][0] if "Mikrotik-Rate-Limit" in pkt else "10M/20M"
        if user == "gone":
            reply.code = refusal
            reply["Error-Cause"] = 503
        elif limit != "10M/20M":
            reply.code = refusal
            reply["Error-Cause"] = 407
        if user == "signed":
            reply.add_message_authenticator()
        self.SendReplyPacket(pkt.fd, reply)


secret = os.environ["NAS_SECRET"].encode()
nas = Nas(
    dict=dictionary.Dictionary(sys.argv[1]),
    hosts={"127.0.0.1": server.RemoteHost("127.0.0.1", secret, "here")},
    auth_enabled=False,
    acct_enabled=False,
    coa_enabled=True,
    coaport=0,
)
nas.BindToAddress("127.0.0.1")
print(nas.coafds[0].getsockname()[1], flush=True)
nas.Run()
