import DeploymentCore
import E2BProtocol
import Testing

@Suite struct MessageTests {
    private func expectRoundTrip<Message: WireMessage & Equatable>(_ message: Message) throws {
        #expect(try Message(json: message.json) == message)
        #expect(try Message(json: JSONValue(parsing: message.json.encoded())) == message)
    }

    @Test func processMessagesSurvive() throws {
        let config = ProcessConfig(
            command: "/bin/sh", arguments: ["-c", "x"], environment: ["A": "b"], workingDirectory: "/tmp")
        try expectRoundTrip(config)
        try expectRoundTrip(ProcessConfig(command: "x"))
        try expectRoundTrip(StartRequest(process: config, terminal: .init(columns: 80, rows: 24), tag: "t"))
        try expectRoundTrip(StartRequest(process: config, standardInput: false))
        try expectRoundTrip(ConnectRequest(process: .tag("t")))
        try expectRoundTrip(SendInputRequest(process: .pid(7), input: .standardInput([0, 255])))
        try expectRoundTrip(SendSignalRequest(process: .pid(7), signal: .kill))
        try expectRoundTrip(UpdateRequest(process: .pid(7), terminal: .init(columns: 1, rows: 2)))
        try expectRoundTrip(StreamInputRequest.start(.pid(1)))
        try expectRoundTrip(StreamInputRequest.data(.terminal([1])))
        try expectRoundTrip(StreamInputRequest.keepalive)
        try expectRoundTrip(ProcessListResponse(processes: [.init(config: config, pid: 7, tag: nil)]))
    }

    @Test func controlAndWatchMessagesSurvive() throws {
        let entry = EntryInfo(name: "f", type: .file, path: "/f", metadata: ["a": "b"])
        try expectRoundTrip(WatchRequest(path: "/x", recursive: true, includeEntry: true, allowNetworkMounts: true))
        for type in FileEventType.allCases { try expectRoundTrip(FilesystemEvent(name: "a/b", type: type)) }
        try expectRoundTrip(WatchDirResponse.event(.init(name: "f", type: .create, entry: entry)))
        try expectRoundTrip(WatchDirResponse.start)
        try expectRoundTrip(WatchDirResponse.keepalive)
        try expectRoundTrip(WatcherReference(watcherID: "w"))
        try expectRoundTrip(WatcherEventsResponse(events: [.init(name: ".", type: .remove)]))
        try expectRoundTrip(WrittenFile(name: "f", path: "/f", metadata: ["a": "b"]))
        try expectRoundTrip(ComposeRequest(sources: ["a", "b"], destination: "c", user: "u"))
        try expectRoundTrip(
            InitRequest(
                environment: ["A": "b"], accessToken: "t", timestamp: Timestamp(seconds: 5), defaultUser: "u",
                defaultWorkdir: "/w"))
        #expect(throws: ConnectError.self) { try WatchDirResponse(json: [:]) }
        #expect(throws: ConnectError.self) { try FilesystemEvent(json: ["type": "EVENT_TYPE_NONE"]) }
    }

    @Test func eventsSurviveAndTheirFramesAreTheSame() throws {
        let events: [ProcessEvent] = [
            .start(pid: 4), .standardOutput([]), .standardOutput(Array(0...255)), .standardError([10]), .terminal([1]),
            .end(.exit(0)), .end(.exit(3)), .end(.signal("killed")), .keepalive,
        ]
        for event in events {
            try expectRoundTrip(event)
            #expect(event.frame() == connectFrame(event.json))
        }
    }

    @Test func successfulEndLeavesTheCodeOut() {
        #expect(ProcessEvent.end(.exit(0)).json == ["event": ["end": ["exited": true, "status": "exit status 0"]]])
        #expect(
            ProcessEnd.signal("killed").json == ["exitCode": -1, "status": "signal: killed", "error": "signal: killed"])
    }

    @Test func filesystemMessagesSurvive() throws {
        let entry = EntryInfo(
            name: "x", type: .directory, path: "/x", size: 1 << 40, mode: 0o755, permissions: "drwxr-xr-x",
            owner: "user", group: "user", modifiedTime: Timestamp(seconds: 1, nanoseconds: 5000), symlinkTarget: "/y")
        try expectRoundTrip(entry)
        try expectRoundTrip(EntryResponse(entry: entry))
        try expectRoundTrip(ListDirResponse(entries: [entry]))
        try expectRoundTrip(MoveRequest(source: "a", destination: "b"))
        try expectRoundTrip(ListDirRequest(path: "a", depth: 3))
        try expectRoundTrip(WrittenFile(name: "a", path: "/a"))
        #expect(entry.json["size"] == "1099511627776")
    }

    @Test func otherSpellingsOfProto3JSONAreRead() throws {
        let end: JSONValue = ["event": ["end": ["exit_code": "-1", "status": "s", "error": nil]]]
        #expect(
            try ProcessEvent(json: end) == .end(ProcessEnd(exitCode: -1, exited: false, status: "s", error: nil)))
        let signal: JSONValue = ["process": ["pid": "12"], "signal": 15, "unknown": [1]]
        #expect(try SendSignalRequest(json: signal) == SendSignalRequest(process: .pid(12), signal: .terminate))
        let entry = try EntryInfo(json: ["type": 2, "size": 5, "symlink_target": "/t"])
        #expect(entry.type == .directory)
        #expect(entry.size == 5)
        #expect(entry.symlinkTarget == "/t")
        #expect(try StartRequest(json: ["process": ["cmd": "x"]]).standardInput)
    }

    @Test(
        arguments: [
            ["process": 1], [:], ["process": ["cmd": 1]], ["process": ["args": "x"]], ["process": ["args": [1]]],
            ["process": ["envs": ["a": 1]]], ["process": [:], "stdin": "yes"], ["process": [:], "pty": [:]], "x", nil,
            ["process": [:], "pty": ["size": ["cols": -1]]],
            ["process": [:], "pty": ["size": ["cols": 4_294_967_296]]],
        ] as [JSONValue])
    func malformedStartIsAnInvalidArgument(_ json: JSONValue) {
        let error = #expect(throws: ConnectError.self) { try StartRequest(json: json) }
        #expect(error?.code == .invalidArgument)
    }

    @Test func methodsKnowTheirPaths() {
        #expect(RemoteMethod(rawValue: "/process.Process/Start")?.isStreaming == true)
        #expect(RemoteMethod(rawValue: "/filesystem.Filesystem/Stat")?.isStreaming == false)
        #expect(RemoteMethod(rawValue: "/process.Process/start") == nil)
    }
}
