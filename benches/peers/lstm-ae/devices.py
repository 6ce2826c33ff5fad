"""PyTorch on the series of the example `devices`: python3 devices.py [WINDOWS BATCH EPOCHS] [DEVICE ...]

Devices are cpu1 (one thread), cpu (all threads), cuda (exact float32) and cuda-tf32 (PyTorch's default for
LSTM layers); all that there are by default. First weights are drawn as the crate draws them, so losses compare.
"""
import math, os, sys, time

import torch

STEPS, COLUMNS = 168, 3
#: Passes of scoring, of which the fastest counts.
PASSES = 3


def series(rows):
    """As `series` of the example, scaled by median and interquartile range as the crate does."""
    hour = torch.arange(rows, dtype=torch.float64)[:, None]
    column = torch.arange(COLUMNS, dtype=torch.float64)
    day = torch.sin(2 * math.pi * (hour - 8 + column) / 24)
    week = torch.where((hour // 24) % 7 >= 5, 0.7, 1.0)
    noise = ((hour * 7919 + column * 104729) % 1009) / 1009 - 0.5
    values = (1 + 0.6 * day) * week + 0.2 * noise
    ordered = values.sort(dim=0).values
    at = lambda q: ordered[int(q * (rows - 1) + 0.5)]
    return ((values - at(0.5)) / ((at(0.75) - at(0.25)) / 1.349)).float()


class Autoencoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        lstm = lambda a, b: torch.nn.LSTM(a, b, batch_first=True)
        self.layers = torch.nn.ModuleList([lstm(COLUMNS, 64), lstm(64, 32), lstm(32, 32), lstm(32, 64)])
        self.code, self.output = torch.nn.Linear(32, 32), torch.nn.Linear(64, COLUMNS)
        self.drop = torch.nn.Dropout(0.2)
        for name, weights in self.named_parameters():
            if "weight_hh" in name:
                torch.nn.init.orthogonal_(weights)
            elif "weight" in name:
                torch.nn.init.xavier_uniform_(weights)
            else:
                torch.nn.init.zeros_(weights)
                if "bias_ih" in name:
                    weights.data[len(weights) // 4 : len(weights) // 2] = 1

    def forward(self, x):
        x = self.drop(self.layers[0](x)[0])
        x = self.drop(self.layers[1](x)[0][:, -1])
        x = torch.relu(self.code(x))[:, None].expand(-1, STEPS, -1)
        x = self.drop(self.layers[2](x)[0])
        return self.output(self.layers[3](x)[0])


def measure(name, windows, batch, epochs):
    cuda = name.startswith("cuda")
    torch.set_num_threads(1 if name == "cpu1" else os.cpu_count())
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = name == "cuda-tf32"
    torch.manual_seed(1)
    device = torch.device("cuda" if cuda else "cpu")
    windows, model = windows.to(device), Autoencoder().to(device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, eps=1e-7)

    def seconds(work):
        begun = time.perf_counter()
        work()
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    def train():
        losses = []
        for part in torch.randperm(len(windows), device=device).split(batch):
            x = windows[part]
            optimizer.zero_grad()
            loss = (model(x) - x).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach() * len(x))
        train.loss = float(sum(losses)) / len(windows)

    times = [seconds(train) for _ in range(epochs)]
    epoch = min(times[1:] or times)
    model.eval()
    with torch.inference_mode():
        outputs = lambda: torch.cat([model(x)[:, -1] for x in windows.split(max(batch, 256))])
        scoring = min(seconds(outputs) for _ in range(PASSES))
        worst = float("nan")
        if cuda:
            there, here = outputs().cpu(), windows.cpu()
            model.cpu()
            worst = float((there - torch.cat([model(x)[:, -1] for x in here.split(256)])).abs().max())
    n = len(windows)
    return f"| PyTorch {name} | {epoch:.4f} | {n / epoch:.0f} | {scoring:.4f} | {n / scoring:.0f} | {train.loss:.4f} | {worst:.1e} |"


def main():
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()] or [512, 32, 3]
    gpu = ["cuda", "cuda-tf32"] if torch.cuda.is_available() else []
    devices = [word for word in sys.argv[1:] if not word.isdigit()] or ["cpu1", "cpu"] + gpu
    count, batch, epochs = numbers
    windows = series(count + STEPS - 1).unfold(0, STEPS, 1).transpose(1, 2).contiguous()
    where = torch.cuda.get_device_name() if gpu else "no GPU"
    print(f"PyTorch {torch.__version__}, {where}, {os.cpu_count()} cores: {count} windows in batches of {batch}, {epochs} epochs\n")
    print("| device | an epoch, s | sequences/s | scoring, s | sequences/s | last loss | outputs differ by | all, s |")
    print("|---|---|---|---|---|---|---|---|")
    for name in devices:
        begun = time.perf_counter()
        row = measure(name, windows, batch, epochs)
        print(row, f"{time.perf_counter() - begun:.1f} |", flush=True)


if __name__ == "__main__":
    main()
