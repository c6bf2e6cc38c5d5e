import DeploymentCore
import DeploymentStore
import E2BProtocol
import Testing

@testable import HostedSandboxes

@Suite struct QueryTests {
    /// Five sandboxes: b and c began at the same time, d is paused, e is of another template.
    static let records: [HostedSandboxRecord] = [
        record("a", 100, ["k": "v 1", "n": "x"]), record("b", 300), record("c", 300, ["k": "v 1"]),
        record("d", 200, .paused), record("e", 400, template: "mine"), record("f", 500, .pausing),
    ]

    static func record(
        _ id: String, _ startedAt: Int64, _ metadata: [String: String] = [:],
        _ state: HostedSandboxRecord.State = .running, template: String = "base"
    ) -> HostedSandboxRecord {
        var record = RestartTests.record(id, state, endAt: 0)
        record.startedAt = startedAt
        record.metadata = metadata
        record.template = template
        record.alias = template == "base" ? "base" : "mine-alias"
        return record
    }

    static func record(_ id: String, _ startedAt: Int64, _ state: HostedSandboxRecord.State) -> HostedSandboxRecord {
        record(id, startedAt, [:], state)
    }

    static let table: [(SandboxQuery, [String])] = [
        (SandboxQuery(), ["f", "e", "b", "c", "d", "a"]),
        (SandboxQuery(isAscending: true), ["a", "d", "b", "c", "e", "f"]),
        (SandboxQuery(states: [.running]), ["e", "b", "c", "a"]),
        (SandboxQuery(states: [.paused]), ["f", "d"]),
        (SandboxQuery(metadata: ["k": "v 1"]), ["c", "a"]),
        (SandboxQuery(metadata: ["k": "v 1", "n": "x"]), ["a"]),
        (SandboxQuery(metadata: ["k": "v"]), []),
        (SandboxQuery(template: "mine"), ["e"]),
        (SandboxQuery(template: "mine-alias"), ["e"]),
        (SandboxQuery(startedAfter: 300), ["f", "e"]),
    ]

    @Test(arguments: table) func filtersAndOrders(_ query: SandboxQuery, _ expected: [String]) throws {
        #expect(try query.page(Self.records).rows.map(\.id) == expected)
    }

    @Test(arguments: [1, 2, 5, 6, 100], [false, true]) func pagesHaveEachRowOnce(
        _ limit: Int, _ isAscending: Bool
    ) throws {
        var query = SandboxQuery(isAscending: isAscending, limit: limit)
        var rows: [String] = []
        var pages = 0
        repeat {
            let page = try query.page(Self.records)
            rows += page.rows.map(\.id)
            query.token = page.nextToken
            pages += 1
        } while query.token != nil && pages < 20
        #expect(rows == (isAscending ? ["a", "d", "b", "c", "e", "f"] : ["f", "e", "b", "c", "d", "a"]))
        #expect(pages == (6 + limit - 1) / limit)
    }

    @Test func runningOnesAreCountedWhereTheyAreAskedFor() throws {
        #expect(try SandboxQuery(limit: 1).page(Self.records).running == 4)
        #expect(try SandboxQuery(states: [.paused]).page(Self.records).running == nil)
    }

    @Test(arguments: ["x", "!!!!", "MTAwLGEsYXNj", "MTAwLGE=", "LGEsZGVzYw=="])
    func aTokenOfNoPageIsRefused(_ token: String) {
        #expect(throws: ControlFailure.self) { try SandboxQuery(token: token).page(Self.records) }
    }

    @Test func logsAreFilteredAndTurned() {
        let log = SandboxLog()
        log.append("one", .debug, at: 1)
        log.append("two\u{1B}[31m", .warn, at: 2)
        log.append("three", .error, at: 3)
        func select(_ query: LogQuery) -> [String] { query.select(log.all).map(\.message) }
        #expect(select(LogQuery()) == ["one", "two\u{FFFD}[31m", "three"])
        #expect(select(LogQuery(isBackward: true)).first == "three")
        #expect(select(LogQuery(cursor: 2)).count == 2)
        #expect(select(LogQuery(cursor: 2, isBackward: true)).last == "one")
        #expect(select(LogQuery(level: .warn)).count == 2)
        #expect(select(LogQuery(search: "hre")) == ["three"])
        #expect(select(LogQuery(limit: 1)) == ["one"])
    }

    @Test func aLogIsBounded() {
        let log = SandboxLog()
        for number in 0...SandboxLog.capacity { log.append("\(number)", at: Int64(number)) }
        #expect(log.all.count <= SandboxLog.capacity)
        #expect(log.all.last?.message == "\(SandboxLog.capacity)")
    }

    @Test func linesAreCutOutOfPieces() {
        var cutter = LineCutter()
        #expect(cutter.take(Array("a\nb".utf8)) == ["a"])
        #expect(cutter.take(Array("c\n\n".utf8)) == ["bc", ""])
        #expect(cutter.take(Array(repeating: 0x61, count: LineCutter.maximumLine + 1)).count == 1)
    }
}
