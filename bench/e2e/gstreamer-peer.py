"""Drives GStreamer's webrtcbin as a WHIP publisher or a WHEP player, for whip.test.ts.

usage: gstreamer-peer.py whip|whep URL TOKEN gathered|trickle
Writes what happens to stdout, one JSON object a line. Reads from stdin: "delete" ends the session by DELETE.
"""
import json
import ssl
import sys
import urllib.error
import urllib.request

import gi

for module, version in (("Gst", "1.0"), ("GstWebRTC", "1.0"), ("GstSdp", "1.0")):
    gi.require_version(module, version)
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

Gst.init(None)
ROLE, URL, TOKEN, GATHERING = sys.argv[1:5]
VP8 = "application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96"
OPUS = "application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,encoding-params=(string)2,payload=97"
PUBLISH = f"""
webrtcbin name=peer bundle-policy=max-bundle
videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1
  ! vp8enc deadline=1 target-bitrate=300000 keyframe-max-dist=300 ! rtpvp8pay mtu=1200 ! {VP8} ! peer.
audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay mtu=1200 ! {OPUS} ! peer.
"""
tls = ssl.create_default_context()
tls.check_hostname = False
tls.verify_mode = ssl.CERT_NONE
if ROLE == "whip":
    pipeline = Gst.parse_launch(PUBLISH)
    peer = pipeline.get_by_name("peer")
else:
    pipeline = Gst.Pipeline.new(None)
    peer = Gst.ElementFactory.make("webrtcbin", "peer")
    peer.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
    pipeline.add(peer)
loop = GLib.MainLoop()
session = {"location": None, "etag": None, "candidates": [], "offered": False}
buffers = {"audio": 0, "video": 0}
kept = []


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def ask(method, url, body=None, **headers):
    if TOKEN:
        headers["Authorization"] = "Bearer " + TOKEN
    request = urllib.request.Request(url, data=body and body.encode(), method=method, headers=headers)
    try:
        reply = urllib.request.urlopen(request, context=tls)
    except urllib.error.HTTPError as error:
        reply = error
    return reply.status, reply.headers, reply.read().decode()


def post():
    if session["offered"]:
        return False
    session["offered"] = True
    offer = peer.get_property("local-description").sdp.as_text()
    status, headers, body = ask("POST", URL, offer, **{"Content-Type": "application/sdp"})
    tell("posted", status=status, type=headers["Content-Type"], link=headers["Link"], body=body)
    if status != 201:
        return False
    session["location"] = urllib.request.urljoin(URL, headers["Location"])
    session["etag"] = headers["ETag"]
    _, answer = GstSdp.SDPMessage.new_from_text(body)
    peer.emit(
        "set-remote-description",
        GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, answer),
        None,
    )
    trickle()
    return False


def trickle():
    """RFC 9725 section 4.3.2: what was gathered since, in one request."""
    candidates, session["candidates"] = session["candidates"], []
    if GATHERING != "trickle" or session["location"] is None or not candidates:
        return
    lines = peer.get_property("local-description").sdp.as_text().splitlines()
    first = lambda start: next(line for line in lines if line.startswith(start))  # noqa: E731
    head = [first("a=ice-ufrag:"), first("a=ice-pwd:"), first("a=group:BUNDLE"), first("m="), first("a=mid:")]
    fragment = "\r\n".join(head + ["a=" + candidate for candidate in candidates]) + "\r\n"
    headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": session["etag"]}
    status, _, _ = ask("PATCH", session["location"], fragment, **headers)
    tell("patched", status=status, candidates=len(candidates))


def offered(promise, _):
    reply = promise.get_reply()
    kept.append(reply)
    peer.emit("set-local-description", reply.get_value("offer"), None)
    if GATHERING == "trickle":
        GLib.idle_add(post)


def gathered(element, _):
    state = element.get_property("ice-gathering-state")
    if state == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
        GLib.idle_add(post)


def candidate(_, section, text):
    if section != 0:
        return
    session["candidates"].append(text)
    GLib.timeout_add(50, lambda: trickle())


def negotiate(_):
    peer.emit("create-offer", None, Gst.Promise.new_with_change_func(offered, None))


def pad_added(_, pad):
    if pad.get_direction() != Gst.PadDirection.SRC:
        return
    kind = pad.get_current_caps().get_structure(0).get_string("media")
    decode = "rtpvp8depay ! vp8dec" if kind == "video" else "rtpopusdepay ! opusdec"
    sink = Gst.parse_bin_from_description(f"queue ! {decode} ! fakesink name=sink signal-handoffs=true sync=false", True)
    pipeline.add(sink)
    sink.sync_state_with_parent()
    sink.get_by_name("sink").connect("handoff", lambda *_: count(kind))
    pad.link(sink.get_static_pad("sink"))


def count(kind):
    buffers[kind] += 1
    if buffers[kind] % 10 == 0:
        tell("decoded", kind=kind, count=buffers[kind])


def command(stream, _):
    line = stream.readline().strip()
    if line == "delete" and session["location"] is not None:
        status, _, _ = ask("DELETE", session["location"])
        tell("deleted", status=status)
    if line == "":
        pipeline.set_state(Gst.State.NULL)
        loop.quit()
        return False
    return True


if ROLE == "whep":
    for caps in (VP8, OPUS):
        kept.append(peer.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps)))
peer.connect("on-negotiation-needed", negotiate)
peer.connect("notify::ice-gathering-state", gathered)
peer.connect("on-ice-candidate", candidate)
peer.connect("pad-added", pad_added)
peer.connect(
    "notify::connection-state",
    lambda element, _: tell("state", state=element.get_property("connection-state").value_nick),
)
GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, command)
pipeline.set_state(Gst.State.PLAYING)
loop.run()
