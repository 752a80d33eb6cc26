// The bare limit of a loader: reads objects, decompresses their segments, hashes them and parses every line, and keeps
// nothing of it. Prints the seconds, and the lines and numbers that it met, to standard output.
//
//   clang++ -O3 -march=native -std=c++17 bare.cpp -lzstd -lcrypto -lsimdjson -lpthread -o bare && ./bare THREADS FILE...

#include <openssl/evp.h>
#include <simdjson.h>
#include <zstd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<size_t> next_file{0};
std::atomic<uint64_t> lines{0};
std::atomic<uint64_t> predictions{0};

[[noreturn]] void fail(const std::string &what) {
    std::fprintf(stderr, "bare: %s\n", what.c_str());
    std::exit(1);
}

void read_object(const std::string &path, ZSTD_DCtx *context, EVP_MD_CTX *digest, simdjson::dom::parser &parser,
                 std::string &raw) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    std::string object(static_cast<size_t>(file.tellg()), '\0');
    if (!file.seekg(0).read(object.data(), static_cast<std::streamsize>(object.size()))) fail(path + ": cannot be read");
    uint64_t met = 0, wanted = 0;
    for (size_t place = 0; place < object.size();) {
        const size_t frame = ZSTD_findFrameCompressedSize(object.data() + place, object.size() - place);
        if (ZSTD_isError(frame)) fail(path + ": " + ZSTD_getErrorName(frame));
        uint32_t magic = 0;
        std::memcpy(&magic, object.data() + place, sizeof magic);
        if ((magic & 0xFFFFFFF0U) == ZSTD_MAGIC_SKIPPABLE_START) {
            place += frame;
            continue;
        }
        const auto size = ZSTD_getFrameContentSize(object.data() + place, frame);
        if (size >= ZSTD_CONTENTSIZE_ERROR) fail(path + ": a frame without its size");
        // It grows to the largest segment and stays: filling it with zeros each time would cost.
        if (raw.size() < size + simdjson::SIMDJSON_PADDING) raw.resize(size + simdjson::SIMDJSON_PADDING);
        const size_t got = ZSTD_decompressDCtx(context, raw.data(), size, object.data() + place, frame);
        if (ZSTD_isError(got)) fail(path + ": " + ZSTD_getErrorName(got));
        unsigned char hash[EVP_MAX_MD_SIZE];
        EVP_DigestInit_ex(digest, EVP_sha256(), nullptr);
        EVP_DigestUpdate(digest, raw.data(), got);
        EVP_DigestFinal_ex(digest, hash, nullptr);
        for (size_t start = 0; start < got;) {
            const auto *end = static_cast<const char *>(std::memchr(raw.data() + start, '\n', got - start));
            if (end == nullptr) break;
            const size_t length = end - (raw.data() + start);
            simdjson::dom::element event;
            if (parser.parse(raw.data() + start, length, false).get(event)) fail(path + ": a line that is no JSON");
            std::string_view type;
            if (!event["type"].get(type) && type == "prediction") wanted++;
            met++;
            start += length + 1;
        }
        place += frame;
    }
    lines += met;
    predictions += wanted;
}

void work(const std::vector<std::string> &files) {
    ZSTD_DCtx *context = ZSTD_createDCtx();
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    simdjson::dom::parser parser;
    std::string raw;
    for (size_t file; (file = next_file++) < files.size();) read_object(files[file], context, digest, parser, raw);
    EVP_MD_CTX_free(digest);
    ZSTD_freeDCtx(context);
}

}  // namespace

int main(int count, char **arguments) {
    if (count < 3) fail("usage: bare THREADS FILE...");
    const std::vector<std::string> files(arguments + 2, arguments + count);
    const auto began = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (int thread = 0; thread < std::atoi(arguments[1]); thread++) threads.emplace_back(work, std::cref(files));
    for (auto &thread : threads) thread.join();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
    std::printf("%.2f %llu %llu\n", seconds.count(), static_cast<unsigned long long>(lines.load()),
                static_cast<unsigned long long>(predictions.load()));
}
