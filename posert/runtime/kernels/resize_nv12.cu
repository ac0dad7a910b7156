// Pictures as NVDEC leaves them (NV12) to a network's uint8 BGR input: scaled into the top left,
// the rest filled. One launch makes a whole batch, of pictures of any sizes. A source pixel is first
// converted, bit for bit as FFmpeg does on x86, and then averaged (shrinking) or interpolated.
// scripts/make_ptx.py makes resize_nv12.ptx of this file; posert/runtime/device/resize.py launches it.

constexpr int MOST = 32;  // pictures a launch: they are passed by value, at most 4 KiB

struct Picture {
    const unsigned char* luma;
    const unsigned char* chroma;  // u, v interleaved, half as wide and high
    int pitch;                    // bytes from line to line of both
    int width, height;            // pixels
    int inner_width, inner_height;  // of the scaled picture
    int averaged;                 // shrinks: mean of the area, not interpolation
    int luma_scale, luma_offset;  // fixed point, 1 is 8192 and 8
    int red_v, green_u, green_v, blue_u;
};

struct Batch {
    Picture pictures[MOST];
};

struct Colour {
    float b, g, r;
};

__device__ int byte(int value) { return min(max(value, 0), 255); }

__device__ Colour pixel(const Picture& p, int x, int y) {
    const unsigned char* uv = p.chroma + (size_t)(y / 2) * p.pitch + x / 2 * 2;
    int u = (uv[0] - 128) * 8, v = (uv[1] - 128) * 8;
    int luma = p.luma[(size_t)y * p.pitch + x] * 8 - p.luma_offset;
    luma = luma * p.luma_scale >> 16;  // each product is cut off, not rounded, as FFmpeg's are
    return {(float)byte(luma + (u * p.blue_u >> 16)),
            (float)byte(luma + (u * p.green_u >> 16) + (v * p.green_v >> 16)),
            (float)byte(luma + (v * p.red_v >> 16))};
}

__device__ void add(Colour& sum, const Colour& c, float weight) {
    sum.b += weight * c.b;
    sum.g += weight * c.g;
    sum.r += weight * c.r;
}

__device__ float covered(int cell, float from, float to) {
    return fminf(to, cell + 1.0f) - fmaxf(from, (float)cell);
}

__device__ Colour mean(const Picture& p, int x, int y) {
    float scale_x = (float)p.width / p.inner_width, scale_y = (float)p.height / p.inner_height;
    float left = x * scale_x, right = fminf(left + scale_x, (float)p.width);
    float top = y * scale_y, bottom = fminf(top + scale_y, (float)p.height);
    Colour sum = {0.0f, 0.0f, 0.0f};
    for (int row = (int)top; row < bottom; ++row) {
        float high = covered(row, top, bottom);
        for (int column = (int)left; column < right; ++column)
            add(sum, pixel(p, column, row), high * covered(column, left, right));
    }
    float area = (right - left) * (bottom - top);
    return {sum.b / area, sum.g / area, sum.r / area};
}

__device__ Colour between(const Picture& p, int x, int y) {
    float at_x = (x + 0.5f) * p.width / p.inner_width - 0.5f;
    float at_y = (y + 0.5f) * p.height / p.inner_height - 0.5f;
    at_x = fminf(fmaxf(at_x, 0.0f), p.width - 1.0f);
    at_y = fminf(fmaxf(at_y, 0.0f), p.height - 1.0f);
    int x0 = (int)at_x, y0 = (int)at_y;
    int x1 = min(x0 + 1, p.width - 1), y1 = min(y0 + 1, p.height - 1);
    float right = at_x - x0, low = at_y - y0;
    Colour sum = {0.0f, 0.0f, 0.0f};
    add(sum, pixel(p, x0, y0), (1.0f - right) * (1.0f - low));
    add(sum, pixel(p, x1, y0), right * (1.0f - low));
    add(sum, pixel(p, x0, y1), (1.0f - right) * low);
    add(sum, pixel(p, x1, y1), right * low);
    return sum;
}

extern "C" __global__ void resize_nv12(Batch batch, unsigned char* input, int width, int height,
                                       int fill) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Picture& p = batch.pictures[blockIdx.z];
    Colour c = {(float)fill, (float)fill, (float)fill};
    if (x < p.inner_width && y < p.inner_height) c = p.averaged ? mean(p, x, y) : between(p, x, y);
    unsigned char* out = input + 3 * (((size_t)blockIdx.z * height + y) * width + x);
    out[0] = byte(__float2int_rn(c.b));
    out[1] = byte(__float2int_rn(c.g));
    out[2] = byte(__float2int_rn(c.r));
}
