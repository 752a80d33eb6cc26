// swift-tools-version: 6.2
import PackageDescription

// The order of the targets is the data's way: event -> segment -> object -> record batch -> aggregate -> table.
// A stage never imports a later one; Tests/check-structure holds the manifest to that.
let package = Package(
    name: "nadi",
    products: [
        .library(name: "EventWriting", targets: ["EventModel", "EventWriting"]),
        .executable(name: "nadi-shipper", targets: ["nadi-shipper"]),
        .executable(name: "nadi", targets: ["nadi"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
    ],
    targets: [
        // C boundary: a module map and thin inline shims, each imported by exactly one Swift module.
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CLibCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
        .target(name: "CSimdJSON", linkerSettings: [.linkedLibrary("simdjson")]),

        // Shared ground.
        .target(name: "Compression", dependencies: ["CZlib", "CZstd"]),
        .target(name: "DurableIO", dependencies: ["CLibCrypto"]),
        .target(
            name: "ServiceSupport",
            dependencies: [
                "DurableIO",
                .product(name: "FlyingFox", package: "FlyingFox"),
                .product(name: "FlyingSocks", package: "FlyingFox"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Yams", package: "Yams"),
            ]),

        // Event -> segment: what a service links. No Foundation, no network.
        .target(name: "EventModel"),
        .target(name: "EventWriting", dependencies: ["EventModel"]),

        // Segment -> object.
        .target(name: "EventSegments", dependencies: ["Compression", "DurableIO", "EventModel"]),
        .target(name: "ObjectStorage", dependencies: ["CCurl", "DurableIO", "EventModel"]),
        .target(
            name: "ObjectShipping",
            dependencies: [
                "Compression", "DurableIO", "EventModel", "EventSegments", "ObjectStorage", "ServiceSupport",
                .product(name: "Logging", package: "swift-log"),
            ]),

        // Object -> record batch -> aggregate.
        .target(name: "Sketches"),
        .target(
            name: "RecordBatches",
            dependencies: ["CSimdJSON", "Compression", "DurableIO", "EventModel", "EventSegments", "Sketches"]),
        .target(name: "ModelStatistics", dependencies: ["RecordBatches", "Sketches"]),

        // Aggregate -> table.
        .target(name: "TableStorage", dependencies: ["CLibPQ", "DurableIO"]),
        .target(
            name: "TableLoading",
            dependencies: [
                "Compression", "DurableIO", "EventModel", "EventSegments", "ModelStatistics", "ObjectStorage",
                "RecordBatches", "ServiceSupport", "Sketches", "TableStorage",
            ]),

        // Programs.
        .executableTarget(
            name: "nadi-shipper",
            dependencies: [
                "DurableIO", "EventModel", "EventSegments", "ObjectShipping", "ObjectStorage", "ServiceSupport",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .executableTarget(
            name: "nadi",
            dependencies: [
                "DurableIO", "EventModel", "ModelStatistics", "ObjectStorage", "RecordBatches", "ServiceSupport",
                "TableLoading", "TableStorage",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        // Tests. TestSupport is a library of fixtures: scratch folders, seeded generators, the real servers.
        .target(
            name: "TestSupport",
            dependencies: [
                "DurableIO", "ObjectStorage", "TableStorage",
            ],
            path: "Tests/TestSupport"),
        .executableTarget(
            name: "event-writer-probe", dependencies: ["EventModel", "EventWriting"],
            path: "Tests/Programs/event-writer-probe"),
        .executableTarget(
            name: "benchmark-append", dependencies: ["CAllocationCount", "EventModel", "EventWriting"],
            path: "Tests/Benchmarks/append"),
        .target(name: "CAllocationCount", path: "Tests/Programs/CAllocationCount"),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "Compression", "EventModel", "EventSegments", "ObjectShipping", "ObjectStorage", "RecordBatches",
                "ServiceSupport", "Sketches", "TableLoading",
            ],
            path: "Tests/fuzz/Targets"),
        .testTarget(name: "FuzzTests", dependencies: ["DurableIO", "FuzzTargets", "TestSupport"]),
        .testTarget(name: "CompressionTests", dependencies: ["Compression", "DurableIO", "TestSupport"]),
        .testTarget(name: "DurableIOTests", dependencies: ["DurableIO", "TestSupport"]),
        .testTarget(name: "ServiceSupportTests", dependencies: ["ServiceSupport", "TestSupport"]),
        .testTarget(name: "EventModelTests", dependencies: ["EventModel", "TestSupport"]),
        .testTarget(
            name: "EventWritingTests",
            dependencies: ["EventModel", "EventWriting", "TestSupport", "event-writer-probe"]),
        .testTarget(
            name: "EventSegmentsTests",
            dependencies: ["Compression", "DurableIO", "EventModel", "EventSegments", "TestSupport"]),
        .testTarget(name: "ObjectStorageTests", dependencies: ["DurableIO", "ObjectStorage", "TestSupport"]),
        .testTarget(
            name: "ObjectShippingTests",
            dependencies: [
                "Compression", "DurableIO", "EventModel", "EventSegments", "EventWriting", "ObjectShipping",
                "ObjectStorage", "ServiceSupport", "TestSupport",
                "event-writer-probe", .product(name: "Logging", package: "swift-log"),
            ]),
        .testTarget(name: "SketchesTests", dependencies: ["Sketches", "TestSupport"]),
        .testTarget(
            name: "ModelStatisticsTests",
            dependencies: ["DurableIO", "ModelStatistics", "RecordBatches", "Sketches", "TestSupport"]),
        .testTarget(
            name: "RecordBatchesTests",
            dependencies: [
                "Compression", "DurableIO", "EventModel", "EventSegments", "RecordBatches", "Sketches", "TestSupport",
            ]),
        .testTarget(name: "TableStorageTests", dependencies: ["TableStorage", "TestSupport"]),
        .testTarget(
            name: "TableLoadingTests",
            dependencies: [
                "Compression", "DurableIO", "EventModel", "EventSegments", "EventWriting", "ModelStatistics",
                "ObjectStorage", "RecordBatches", "Sketches", "TableLoading", "TableStorage", "TestSupport",
            ]),
        .testTarget(name: "DashboardTests", dependencies: ["TableStorage", "TestSupport"]),
        .testTarget(
            name: "PipelineTests",
            dependencies: [
                "DurableIO", "EventModel", "EventSegments", "EventWriting", "ObjectStorage", "TableStorage",
                "TestSupport",
            ],
            exclude: ["ids_in_bucket.py", "writer_to_stop.py"]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)

// libFuzzer's driver links only where Tests/fuzz/run adds its library.
if Context.environment["NADI_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(name: "nadi-fuzz", dependencies: ["FuzzTargets"], path: "Tests/fuzz/Driver"))
}

for target in package.targets where target.type != .system && !["CAllocationCount", "CSimdJSON"].contains(target.name) {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ]
}
