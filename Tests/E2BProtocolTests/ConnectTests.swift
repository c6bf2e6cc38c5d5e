import DeploymentCore
import E2BProtocol
import Testing

@Suite struct ConnectTests {
    @Test func framesSurviveEveryCut() throws {
        let frames: [ConnectFrame] = [
            .message(["a": 1]), .message([:]), .end(ConnectError(.notFound, "process with pid 1 not found")),
        ]
        let bytes = frames.flatMap { $0.encoded() }
        for cut in 0...bytes.count {
            var decoder = ConnectFrameDecoder()
            var seen: [ConnectFrame] = []
            for part in [bytes[..<cut], bytes[cut...]] {
                decoder.append(part)
                while let frame = try decoder.next() { seen.append(frame) }
            }
            #expect(seen == frames)
            #expect(!decoder.isMidFrame)
        }
    }

    @Test func envelopeIsFlagLengthPayload() {
        #expect(ConnectFrame.message([:]).encoded() == [0, 0, 0, 0, 2, 0x7B, 0x7D])
        #expect(ConnectFrame.end(nil).encoded() == [2, 0, 0, 0, 2, 0x7B, 0x7D])
        #expect(connectFrame(["long": .string(String(repeating: "x", count: 300))]).prefix(5) == [0, 0, 0, 1, 55])
    }

    @Test func nothingFollowsTheEnd() throws {
        var decoder = ConnectFrameDecoder()
        decoder.append(ConnectFrame.end(nil).encoded() + ConnectFrame.message([:]).encoded())
        #expect(try decoder.next() == .end(nil))
        #expect(throws: ConnectError.self) { try decoder.next() }
    }

    @Test func frameOverTheLimitIsRefusedBeforeItArrives() {
        var decoder = ConnectFrameDecoder(payloadLimit: 10)
        decoder.append([0, 0, 0, 0, 11])
        #expect(throws: ConnectError(.resourceExhausted, "a frame of 11 bytes exceeds the limit of 10")) {
            try decoder.next()
        }
    }

    @Test(arguments: ConnectCode.allCases) func errorsSurviveTheirStatusAndBody(_ code: ConnectCode) {
        let error = ConnectError(code, "why")
        #expect(ConnectError(httpStatus: code.httpStatus, body: error.json.encoded()) == error)
        #expect((400...599).contains(code.httpStatus))
    }

    @Test func foreignErrorsAreTranslated() {
        let body = Array(#"{"sandboxId":"x","message":"The sandbox was not found","code":502}"#.utf8)
        #expect(ConnectError(httpStatus: 502, body: body) == ConnectError(.unavailable, "The sandbox was not found"))
        #expect(ConnectError(httpStatus: 404, body: []).code == .notFound)
        #expect(ConnectError(httpStatus: 418, body: Array("<html>".utf8)).code == .unknown)
        #expect(ConnectError(json: ["code": "new_code", "message": "m"]) == ConnectError(.unknown, "m"))
    }
}
