import DeploymentCore
import Foundation
import Glibc
import Testing

@Suite struct FileTests {
    private static let binary = ["Content-Type": "application/octet-stream"]

    private func status(_ path: String) -> stat {
        var status = stat()
        stat(path, &status)
        return status
    }

    @Test func largeFileMakesTheRoundTrip() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            var bytes = Data(count: 32 << 20)
            bytes.withUnsafeMutableBytes { buffer in
                for index in stride(from: 0, to: buffer.count, by: 1021) { buffer[index] = UInt8(index & 255) }
            }
            let written = try connection.request("POST", "/files?path=deep/down/file.bin", Self.binary, body: bytes)
            #expect(
                written.json == [
                    ["name": "file.bin", "path": .string("\(agent.folder)/deep/down/file.bin"), "type": "file"]
                ])
            let read = try connection.request("GET", "/files?path=deep%2Fdown%2Ffile.bin")
            #expect(read.status == 200)
            #expect(read.body == bytes)
            #expect(status("\(agent.folder)/deep/down/file.bin").st_mode & 0o777 == 0o644)
        }
    }

    @Test func modeIsSetAndContentReplaced() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let headers = Self.binary.merging(["X-Berth-Mode": "755"]) { $1 }
            try connection.request("POST", "/files?path=x", headers, body: Data("long content".utf8))
            try connection.request("POST", "/files?path=x", headers, body: Data("short".utf8))
            #expect(try connection.request("GET", "/files?path=x").body == Data("short".utf8))
            #expect(status("\(agent.folder)/x").st_mode & 0o777 == 0o755)
            let wrong = Self.binary.merging(["X-Berth-Mode": "99999"]) { $1 }
            #expect(try connection.request("POST", "/files?path=y", wrong, body: Data("y".utf8)).status == 400)
            #expect(access("\(agent.folder)/y", F_OK) != 0)
        }
    }

    @Test func chunkedUploadWithExpectationIsAnswered() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let head =
                "POST /files?path=c HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
                + "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
            try connection.send(Data(head.utf8))
            #expect(try connection.readHead().status == 100)
            for part in ["5\r\nhel", "lo\r", "\n6;x=y\r\n world\r\n0\r\n", "Trailer: x\r\n\r\n"] {
                try connection.send(Data(part.utf8))
            }
            #expect(try connection.readResponse().status == 200)
            #expect(try connection.request("GET", "/files?path=c").body == Data("hello world".utf8))
        }
    }

    @Test func formBringsSeveralFiles() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            let content = "a\r\n--boundar\r\nb"
            let body = """
                --boundary\r
                Content-Disposition: form-data; name="other"\r
                \r
                ignored\r
                --boundary\r
                Content-Disposition: form-data; name="file"; filename="one \\"1\\".txt"\r
                Content-Type: text/plain\r
                \r
                \(content)\r
                --boundary\r
                content-disposition: form-data; filename=two/2.txt; name=file\r
                \r
                \r
                --boundary--\r

                """
            let headers = ["Content-Type": "multipart/form-data; boundary=\"boundary\""]
            let response = try connection.request("POST", "/files", headers, body: Data(body.utf8))
            #expect(response.json.array?.compactMap { $0["name"]?.string } == ["one \"1\".txt", "2.txt"])
            #expect(try connection.request("GET", "/files?path=one+%221%22.txt").body == Data(content.utf8))
            #expect(try connection.request("GET", "/files?path=two/2.txt").body.isEmpty)
            let twice = try connection.request(
                "POST", "/files?path=same", headers, body: Data(body.replacing("other", with: "file").utf8))
            #expect(twice.status == 400)
            let cut = try connection.request("POST", "/files", headers, body: Data(body.utf8).dropLast(20))
            #expect(cut.status == 400)
        }
    }

    @Test func rangesAreHonoured() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try connection.request("POST", "/files?path=r", Self.binary, body: Data("0123456789".utf8))
            for (range, text) in [
                ("bytes=2-4", "234"), ("bytes=7-", "789"), ("bytes=-2", "89"), ("bytes=0-99", "0123456789"),
            ] {
                let response = try connection.request("GET", "/files?path=r", ["Range": range])
                #expect(response.body == Data(text.utf8))
                #expect(response.status == (text.count == 10 ? 200 : 206))
            }
            #expect(try connection.request("GET", "/files?path=r", ["Range": "bytes=10-"]).status == 416)
        }
    }

    @Test func failuresHaveTheirStatus() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            mkfifo("\(agent.folder)/fifo", 0o600)
            let missing = try connection.request("GET", "/files?path=none")
            #expect(missing.status == 404)
            #expect(missing.json["code"] == 404)
            #expect(missing.json["message"]?.string?.contains("none") == true)
            for path in ["", "/", "~other/x", "a%00b", "fifo", "/dev/zero", String(repeating: "x", count: 5000)] {
                #expect(try connection.request("GET", "/files?path=\(path)").status == 400)
            }
            for path in ["/", "/dev/null", "fifo", "a%00b"] {
                #expect(
                    try connection.request("POST", "/files?path=\(path)", Self.binary, body: Data("x".utf8)).status
                        == 400)
            }
            #expect(try connection.request("POST", "/files", Self.binary, body: Data("x".utf8)).status == 400)
            #expect(try connection.request("POST", "/files?path=x", body: Data("x".utf8)).status == 415)
            let other = Self.binary.merging(["Content-Encoding": "br"]) { $1 }
            #expect(try connection.request("POST", "/files?path=x", other, body: Data("x".utf8)).status == 406)
            #expect(try connection.request("GET", "/files?path=x&username=other").status == 401)
            #expect(try connection.request("GET", "/files?path=%zz").status == 400)
        }
    }

    @Test(.enabled(if: access("/dev/full", W_OK) == 0, "needs /dev/full")) func devicesAreNotWritten() async throws {
        try await withAgent { agent in
            symlink("/dev/full", "\(agent.folder)/link")
            let response = try agent.connect().request("POST", "/files?path=link", Self.binary, body: Data("x".utf8))
            #expect(response.status == 400)
        }
    }

    @Test func dotsAreResolvedAndHomeIsTheBase() async throws {
        try await withAgent { agent in
            let connection = try agent.connect()
            try connection.request("POST", "/files?path=~/a/../b/./c", Self.binary, body: Data("x".utf8))
            #expect(access("\(agent.folder)/b/c", F_OK) == 0)
            let above = String(repeating: "../", count: 60)
            let response = try connection.request(
                "POST", "/files?path=\(above)\(agent.folder)/d", Self.binary, body: Data("x".utf8))
            #expect(response.json[0]?["path"] == .string("\(agent.folder)/d"))
            try connection.request("POST", "/files?path=%C3%A9%0A%20%22", Self.binary, body: Data("x".utf8))
            #expect(access("\(agent.folder)/é\n \"", F_OK) == 0)
        }
    }

    @Test func brokenUploadLeavesNoFile() async throws {
        try await withAgent { agent in
            var connection: TestConnection? = try agent.connect()
            let head =
                "POST /files?path=half HTTP/1.1\r\nContent-Type: application/octet-stream\r\nContent-Length: 100\r\n\r\n"
            try connection?.send(Data((head + "begin").utf8))
            while access("\(agent.folder)/half", F_OK) != 0 { try agent.connect().request("GET", "/health") }
            connection = nil
            try agent.connect().request("GET", "/health")
            #expect(access("\(agent.folder)/half", F_OK) != 0)
        }
    }

    @Test func fileWithoutASizeIsRead() async throws {
        try await withAgent { agent in
            let response = try agent.connect().request("GET", "/files?path=/proc/self/status")
            #expect(String(decoding: response.body, as: UTF8.self).hasPrefix("Name:\tberth-agent"))
        }
    }
}
