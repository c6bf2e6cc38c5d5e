import DeploymentCore
import GRDB

extension DeploymentStore {
    /// Lines kept of one build's log; those that come later are dropped.
    public static let maximumBuildLog = 20_000

    /// A template with what belongs to it.
    public struct TemplateDetails: Sendable, Equatable {
        /// The template.
        public var template: TemplateRecord
        /// Its names.
        public var names: [String]
        /// Its builds, newest first.
        public var builds: [TemplateBuildRecord]
        /// What the builds are called.
        public var tags: [TemplateTagRecord]
    }

    /// Notes a build that was asked for, with its template: the one of that name, or `template`, which is new.
    ///
    /// - Throws: `conflict` when a snapshot has the name.
    public func begin(
        _ template: TemplateRecord, name: String, _ build: (_ template: String) -> TemplateBuildRecord
    ) throws -> (template: TemplateRecord, build: TemplateBuildRecord) {
        // The closure only makes a value; it is called here so that it need not be sendable.
        let draft = build(template.id)
        return try write("note a build of \(name)") { database in
            guard try SnapshotRecord.filter(Column("name") == name).isEmpty(database) else {
                throw BerthError(.conflict, "a snapshot has the name \(name)")
            }
            var owner = template
            if let known = try TemplateNameRecord.fetchOne(database, key: name)?.template,
                let existing = try TemplateRecord.fetchOne(database, key: known)
            {
                owner = existing
            } else {
                try template.insert(database)
                try TemplateNameRecord(name: name, template: template.id).insert(database)
            }
            var record = draft
            record.template = owner.id
            try record.insert(database)
            return (owner, record)
        }
    }

    /// A template by its id or name; nil when there is none.
    public func template(_ reference: String) throws -> TemplateDetails? {
        try read("read template \(reference)") { database in
            let id = try TemplateNameRecord.fetchOne(database, key: reference)?.template ?? reference
            return try TemplateRecord.fetchOne(database, key: id).map { try Self.details(of: $0, database) }
        }
    }

    /// All templates, newest first.
    public func templates() throws -> [TemplateDetails] {
        try read("list templates") { database in
            try TemplateRecord.order(Column("createdAt").desc, Column("id")).fetchAll(database)
                .map { try Self.details(of: $0, database) }
        }
    }

    private static func details(of template: TemplateRecord, _ database: Database) throws -> TemplateDetails {
        TemplateDetails(
            template: template,
            names: try TemplateNameRecord.filter(Column("template") == template.id).order(Column("name"))
                .fetchAll(database).map(\.name),
            builds: try TemplateBuildRecord.filter(Column("template") == template.id)
                .order(Column("createdAt").desc, Column.rowID.desc).fetchAll(database),
            tags: try TemplateTagRecord.filter(Column("template") == template.id).order(Column("tag"))
                .fetchAll(database))
    }

    /// One build; nil when there is none of that id.
    public func build(_ id: String) throws -> TemplateBuildRecord? {
        try read("read build \(id)") { try TemplateBuildRecord.fetchOne($0, key: id) }
    }

    /// Lets a build begin; false when it has begun already.
    public func start(build id: String) throws -> Bool {
        try write("begin build \(id)") { database in
            try database.execute(
                sql: "UPDATE imageBuild SET status = 'building' WHERE id = ? AND status = 'waiting'", arguments: [id])
            return database.changesCount == 1
        }
    }

    /// Notes how a build ended; when it is ready, its tags are its own from here on.
    ///
    /// - Throws: `not_found` when its template was deleted meanwhile.
    public func finish(_ build: TemplateBuildRecord) throws {
        try write("end build \(build.id)") { database in
            guard try TemplateBuildRecord.filter(key: build.id).isEmpty(database) == false else {
                throw BerthError(.notFound, "the template was deleted while it was built")
            }
            try build.update(database)
            guard build.status == .ready else { return }
            if let content = build.content { try Self.remember(content, of: build.id, database) }
            for tag in build.tags.split(separator: " ") {
                try TemplateTagRecord(
                    template: build.template, tag: String(tag), build: build.id,
                    createdAt: build.finishedAt ?? build.createdAt
                ).save(database)
            }
            try Self.touch(build.template, build.finishedAt ?? build.createdAt, database)
        }
    }

    private static func touch(_ template: String, _ time: Int64, _ database: Database) throws {
        try database.execute(
            sql: "UPDATE imageTemplate SET updatedAt = ? WHERE id = ?", arguments: [time, template])
    }

    /// Ends the builds that an earlier control plane left running; returns how many.
    @discardableResult public func abandonBuilds(_ reason: String, time: Int64) throws -> Int {
        try write("end builds that nobody runs") { database in
            try database.execute(
                sql: "UPDATE imageBuild SET status = 'error', failure = ?, finishedAt = ? WHERE status = 'building'",
                arguments: [reason, time])
            return database.changesCount
        }
    }

    /// Gives a build more names.
    public func tag(_ build: TemplateBuildRecord, _ tags: [String], time: Int64) throws {
        try write("tag build \(build.id)") { database in
            for tag in tags {
                try TemplateTagRecord(template: build.template, tag: tag, build: build.id, createdAt: time)
                    .save(database)
            }
            try Self.touch(build.template, time, database)
        }
    }

    /// Takes names away; false when the template had none of them.
    public func untag(_ template: String, _ tags: [String], time: Int64) throws -> Bool {
        try write("untag template \(template)") { database in
            let count = try TemplateTagRecord.filter(Column("template") == template)
                .filter(tags.contains(Column("tag"))).deleteAll(database)
            try Self.touch(template, time, database)
            return count > 0
        }
    }

    /// Lets others use a template, or not.
    public func setPublic(_ isPublic: Bool, _ template: String, time: Int64) throws {
        try write("change template \(template)") { database in
            try database.execute(
                sql: "UPDATE imageTemplate SET isPublic = ?, updatedAt = ? WHERE id = ?",
                arguments: [isPublic, time, template])
        }
    }

    /// Forgets a template with everything that belongs to it; false when there is none of that id.
    public func deleteTemplate(_ id: String) throws -> Bool {
        try write("delete template \(id)") { try TemplateRecord.deleteOne($0, key: id) }
    }

    /// Writes lines of a build's log.
    public func append(_ lines: [BuildLogRecord], of build: String) throws {
        try write("write the log of build \(build)") { database in
            guard try !TemplateBuildRecord.filter(key: build).isEmpty(database) else { return }
            let count = try BuildLogRecord.filter(Column("build") == build).fetchCount(database)
            for var line in lines.prefix(max(0, Self.maximumBuildLog - count)) { try line.insert(database) }
        }
    }

    /// Lines of a build's log: `limit` after the first `offset`, of the levels.
    public func log(
        of build: String, offset: Int, limit: Int, levels: [String], isBackward: Bool = false
    ) throws -> [BuildLogRecord] {
        try read("read the log of build \(build)") { database in
            let lines = BuildLogRecord.filter(Column("build") == build).filter(levels.contains(Column("level")))
            return try lines.order(isBackward ? Column("id").desc : Column("id").asc).limit(limit, offset: offset)
                .fetchAll(database)
        }
    }
}
